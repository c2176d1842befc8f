"""A chat with several experts: `mixture`, and every method of the pipelines' list (discussions, symbolic-moe, ...)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.question import CHAT, Question
from agents.transcript import Transcript
from agents.votes import AT_THEIR_WORD, log_odds, options_of
from orchestrator.chats.chat_body import ChatBody
from orchestrator.chats.chat_events import ChatEvents, FinishEvent, ProgressEvent, TextEvent, UsageEvent
from orchestrator.chats.chat_pool import ChatPool
from orchestrator.chats.expert_health import ExpertHealth
from orchestrator.chats.experts import ask_expert
from orchestrator.chats.failure_log import log_failure
from orchestrator.chats.fallback import FirstReply
from orchestrator.chats.protocols import ServiceRouting, Zoo
from orchestrator.chats.routing import ranking_json
from orchestrator.config import Config
from orchestrator.errors import CollegiumError, NotReady, RequestError, no_answer
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.evaluation.discussing import own_discussion
from orchestrator.evaluation.methods import METHODS, Method, MethodOptions, MethodOutcome, Setting
from orchestrator.evaluation.methods.discussion import own_method
from orchestrator.evaluation.methods.fallback import ask_down
from orchestrator.evaluation.profile import Profiled
from orchestrator.inference.expert import Expert
from orchestrator.inference.prices import paid, total, withdrawn
from orchestrator.inference.request import Completion, FinishReason, PromptMessage, Sampling

MIXTURE = "mixture"
LONGEST_QUESTION = 100_000
"""Characters of a last user turn."""


def methods_of(config: Config) -> Mapping[str, Method]:
    """Methods that give one answer, as model ids; the user's own discussions among them."""
    own = [own_method(name, own_discussion(path, Path.cwd())) for name, path in config.discussions.items()]
    return {method.name: method for method in (*METHODS, *own) if method.answers_once}


async def ask_mixture(
    collegium: Zoo, routing: ServiceRouting, health: ExpertHealth, chat: ChatBody, max_wait: float | None
) -> ChatEvents:
    """The experts that suit the last user turn answer, down the ranking where some fail. One of them alone sees the
    chat as it is; several answer the question in their form (`solve`), and their answers are counted by the log-odds
    of being right. Raises `NoAnswer` if none of those that may be asked gives a reply."""
    question, history = as_question(chat)
    (ranking,) = await routing.rank([question.question], [conversation_text(history)])
    service = collegium.config.service
    order = health.order(ranking.experts)
    explanation: dict[str, Any] = {"method": MIXTURE, **ranking_json(ranking)}
    if question.kind == "open":
        names = order[: 1 + service.fallbacks]

        def ask(name: str) -> ChatEvents:
            expert = collegium.experts[name]
            wanted = chat.sampling(expert.context, temperature=0.0)
            return ask_expert(
                collegium.pool,
                expert,
                chat.conversation,
                wanted,
                n=chat.n,
                seed=chat.seed,
                stream=chat.stream,
                max_wait=max_wait,
            )

        characters = sum(len(text) for _, text in chat.conversation)
        reply = FirstReply(
            names,
            ask,
            health,
            hedge_seconds=service.hedge_seconds,
            stream=chat.stream,
            hold=lambda name: collegium.experts[name].remote is not None and health.holds(name),
            estimate=lambda name, text: withdrawn(collegium.experts[name], characters, text),
        )
        begun = False
        async for event in reply.events():
            if chat.stream and not begun:
                begun = True
                yield ProgressEvent({"routed": [reply.winner]})
            if isinstance(event, UsageEvent):
                details = {"experts": [reply.winner], **failures_json(reply.failures), **slow_json(reply.slow)}
                unused = reply.unused()
                details |= {"unused": unused} if unused else {}
                event = replace(
                    event,
                    explanation={**(event.explanation or {}), **explanation, **details},
                    cost=total([event.cost, *unused.values()]),
                )
            yield event
        return
    recruit = min(chat.collegium.recruit or service.recruit, len(order))
    room = order[: recruit + service.fallbacks]
    reply_events = _ReplyEvents(health, collegium.experts)
    pool = _chat_pool(collegium, question, history, max_wait, reply_events)
    sampling = _sampling(chat, min(collegium.experts[name].context for name in room))
    context = replace(collegium.context(), workers=lambda: pool)
    setting = Setting(context, [question], sampling, _seed(chat, collegium))
    used = (await ask_down(setting, [(question, room)], recruit))[question.id]
    replied = [one for one in used if one.error is None]
    probabilities = [ranking.probability(one.expert) for one in replied]
    odds = await routing.odds(recruit) if recruit > 1 else AT_THEIR_WORD
    verdict = log_odds([one.reply.answer for one in replied], probabilities, odds, options=options_of(question))
    text = _content_of(verdict.answer, replied)
    if not text.strip():
        raise reply_events.no_answer()
    if chat.stream:
        yield ProgressEvent({"routed": [one.expert for one in replied]})
    explanation["votes"] = [
        {
            "answer": group.answer,
            "weight": group.weight,
            "experts": [replied[voter].expert for voter in group.voters],
        }
        for group in verdict.groups
    ]
    yield TextEvent(text)
    yield FinishEvent(reply_events.finish_reason(text))
    yield reply_events.account(explanation | {"answer": verdict.answer, "confidence": verdict.share})


async def ask_method(
    collegium: Zoo,
    routing: ServiceRouting,
    health: ExpertHealth,
    method: Method,
    chat: ChatBody,
    max_wait: float | None,
) -> ChatEvents:
    """Run a method on the last user turn, within the conversation; a stream hears of every reply as it comes. Raises
    `NoAnswer` if no expert gives one."""
    question, history = as_question(chat)
    sampling = _sampling(chat, min(expert.context for expert in collegium.experts.values()))
    profiled = await _profiled(routing, method)
    reply_events = _ReplyEvents(health, collegium.experts)
    pool = _chat_pool(collegium, question, history, max_wait, reply_events)
    context = replace(collegium.context(), workers=lambda: pool)
    recruit = min(chat.collegium.recruit, len(collegium.experts)) if chat.collegium.recruit else None
    setting = Setting(context, [question], sampling, _seed(chat, collegium), MethodOptions(recruit=recruit), profiled)
    working = asyncio.ensure_future(method.run(setting))
    working.add_done_callback(lambda _: reply_events.events.put_nowait(None))
    try:
        while (event := await reply_events.events.get()) is not None:
            if chat.stream:
                yield ProgressEvent(event)
        (outcome, *_) = await working
    finally:
        working.cancel()
    found = outcome.answers[0]
    transcript = outcome.transcripts[0] if outcome.transcripts else None
    text = (transcript.reply if transcript else "") or _content_of(found.answer, found.used)
    if found.failed or not text.strip():
        raise reply_events.no_answer()
    yield TextEvent(text)
    yield FinishEvent(reply_events.finish_reason(text))
    yield reply_events.account(_explained(method.name, outcome, transcript, chat.collegium.explain))


def _chat_pool(
    collegium: Zoo,
    question: Question,
    history: Sequence[PromptMessage],
    max_wait: float | None,
    reply_events: _ReplyEvents,
) -> ChatPool:
    return ChatPool(
        collegium.pool,
        question.question,
        history,
        max_wait,
        reply_events.reply,
        reply_events.failure,
        collegium.config.service.reply_seconds,
    )


async def _profiled(routing: ServiceRouting, method: Method) -> Profiled | None:
    """What the profile showed; None where a discussion can do without. Raises `NotReady`."""
    if method.profile == "unused":
        return None
    try:
        return await routing.profiled()
    except NotReady:
        if method.profile == "optional":
            return None
        raise


def as_question(chat: ChatBody) -> tuple[Question, tuple[PromptMessage, ...]]:
    """The last user turn as a question, and the conversation before it. Raises `RequestError` if there is none."""
    if chat.tools or chat.turns:
        raise RequestError("tools: several experts cannot share tools: ask one expert, or leave them out")
    if chat.n > 1 and (chat.model != MIXTURE or chat.collegium.kind != "open"):
        raise RequestError("n: several experts give one answer together")
    *history, (role, text) = chat.conversation
    if role != "user" or not text.strip():
        raise RequestError("messages: the last message must be a user's, and not empty")
    if len(text) > LONGEST_QUESTION:
        raise RequestError(f"messages: the last message has more than {LONGEST_QUESTION} characters")
    choices = chat.collegium.choices
    kind = "choice" if choices else chat.collegium.kind
    id = f"chat-{secrets.token_hex(8)}"
    return Question(id=id, task=CHAT, question=text, kind=kind, choices=choices), tuple(history)


def conversation_text(history: Sequence[PromptMessage]) -> str:
    """What routing looks at beside the last user turn: the turns before it; without any, the system prompt."""
    turns = [text for role, text in history if role != "system" and text.strip()]
    system = [text for role, text in history if role == "system" and text.strip()]
    return "\n\n".join(turns or system)


class _ReplyEvents:
    """What the experts said so far: counted, and queued for a stream."""

    def __init__(self, health: ExpertHealth, experts: Mapping[str, Expert]) -> None:
        self.failures: dict[str, CollegiumError] = {}
        """Expert -> its last failure."""
        self._health = health
        self._experts = experts
        self._costs: list[float | None] = []
        self.events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._replies: list[Completion] = []
        self._calls: dict[str, int] = {}

    def reply(self, expert: str, completion: Completion) -> None:
        self._replies.append(completion)
        self._costs.append(paid(self._experts[expert], completion))
        if not completion.cached:
            self._health.well(expert)
        number = self._calls[expert] = self._calls.get(expert, 0) + 1
        self.events.put_nowait({"expert": expert, "reply": number, "text": completion.text})

    def failure(self, expert: str, error: CollegiumError) -> None:
        if self.failures.get(expert) is None:
            log_failure(error, expert, replaced=True)
        self.failures[expert] = error
        self._health.failed(expert, error)

    def no_answer(self) -> CollegiumError:
        """What to raise where no expert gave an answer."""
        return no_answer({name: error for name, error in self.failures.items() if name not in self._calls})

    def finish_reason(self, text: str) -> FinishReason:
        """Why the reply ended that is given as the answer, or whose reasoning the answer begins with."""
        same = [one for one in self._replies if one.text.strip() == text.strip()]
        reasoning = text.rpartition("\nAnswer:")[0].strip()
        same = same or [one for one in self._replies if reasoning and one.text.strip().startswith(reasoning)]
        return same[-1].finish_reason if same else "stop"

    def account(self, explanation: dict[str, Any]) -> UsageEvent:
        replies = self._replies
        counts = {"calls": len(replies), "cached_calls": sum(one.cached for one in replies)}
        return UsageEvent(
            sum(one.prompt_tokens for one in replies),
            sum(one.completion_tokens for one in replies),
            explanation | {"experts": list(self._calls), **counts, **failures_json(self.failures)},
            cached_tokens=sum(one.usage.cached_tokens for one in replies if one.usage),
            reasoning_tokens=sum(one.usage.reasoning_tokens for one in replies if one.usage),
            cost=total(self._costs),
            experts=tuple(self._calls),
        )


def failures_json(failures: Mapping[str, CollegiumError]) -> dict[str, Any]:
    """Experts that failed and the code of each failure, as an explanation tells it; nothing where none did."""
    return {"failed": {name: error.code for name, error in failures.items()}} if failures else {}


def slow_json(slow: Sequence[str]) -> dict[str, Any]:
    """Experts that kept silent so long that another one was asked, too."""
    return {"slow": list(slow)} if slow else {}


def _sampling(chat: ChatBody, context: int) -> Sampling:
    if chat.response_format and chat.response_format.structured:
        raise RequestError("response_format: several experts answer in their own form: ask one expert")
    if chat.ignore_eos:
        raise RequestError("ignore_eos: the answer of several experts has its own end: ask one expert")
    if chat.logprobs:
        raise RequestError("logprobs: the answer of several experts has none: ask one expert")
    return chat.sampling(context, temperature=0.0)


def _seed(chat: ChatBody, collegium: Zoo) -> int:
    """The configuration's where the client says nothing: what a method draws for its own fitting is drawn once."""
    return collegium.config.seed if chat.seed is None else abs(chat.seed)


def _content_of(found: str | None, used: Sequence[ExpertReply]) -> str:
    """The answer in the words of whoever gave it and was surest; without an answer, what the first one said."""
    replied = [one for one in used if one.error is None and one.reply.text.strip()]
    agreeing = [one for one in replied if one.reply.answer == found] or replied
    speaker = max(agreeing, key=lambda one: one.reply.confidence or 0.0, default=None)
    return (speaker.reply.text if speaker else "") or found or ""


def _explained(name: str, outcome: MethodOutcome, transcript: Transcript | None, fully: bool) -> dict[str, Any]:
    found = outcome.answers[0]
    explanation: dict[str, Any] = {
        "method": name,
        "note": outcome.note,
        "answer": found.answer,
        "confidence": found.confidence,
        "ranking": [entry.model_dump(mode="json") for entry in found.ranking],
    }
    if transcript is None:
        votes: dict[str | None, list[str]] = {}
        for one in found.used:
            votes.setdefault(one.reply.answer, []).append(one.expert)
        return explanation | {"votes": [{"answer": given, "experts": experts} for given, experts in votes.items()]}
    explanation |= {
        "rounds": transcript.rounds,
        "stopped": transcript.stopped,
        "votes": [vote.model_dump(mode="json", exclude={"abstentions"}) for vote in transcript.votes],
    }
    return explanation | ({"transcript": transcript.model_dump(mode="json")} if fully else {})
