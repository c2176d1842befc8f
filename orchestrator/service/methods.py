"""A chat with several experts: `mixture`, and every method of the pipelines' list (discussions, symbolic-moe, ...)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.question import Question
from agents.transcript import Transcript
from agents.votes import log_odds, options_of
from orchestrator.collegium import Collegium
from orchestrator.config import Config
from orchestrator.errors import NotReady, RequestError
from orchestrator.evaluation.answering import ExpertReply, answer
from orchestrator.evaluation.discussing import own_discussion
from orchestrator.evaluation.methods import METHODS, Method, MethodOptions, MethodOutcome, Setting
from orchestrator.evaluation.methods.discussion import own_method
from orchestrator.evaluation.profile import Profiled
from orchestrator.inference.request import Completion, PromptMessage, Sampling
from orchestrator.service.chat_events import ChatEvents, FinishEvent, ProgressEvent, TextEvent, UsageEvent
from orchestrator.service.chat_pool import ChatPool
from orchestrator.service.experts import ask_expert
from orchestrator.service.protocols import ServiceRouting
from orchestrator.service.routing import ranking_json
from orchestrator.service.schema import ChatBody

MIXTURE = "mixture"
LONGEST_QUESTION = 100_000
"""Characters of a last user turn."""


def methods_of(config: Config) -> Mapping[str, Method]:
    """Methods that give one answer, as model ids; the user's own discussions among them."""
    own = [own_method(name, own_discussion(path, Path.cwd())) for name, path in config.discussions.items()]
    return {method.name: method for method in (*METHODS, *own) if method.answers_once}


async def ask_mixture(
    collegium: Collegium, routing: ServiceRouting, chat: ChatBody, max_wait: float | None
) -> ChatEvents:
    """The experts that suit the last user turn answer. One of them alone sees the chat as it is; several answer the
    question in their form (`solve`), and their answers are counted by the log-odds of being right."""
    question, history = as_question(chat)
    (ranking,) = await routing.rank([routed_text(chat.conversation)])
    recruit = min(chat.collegium.recruit or collegium.config.service.recruit, len(ranking.experts))
    recruit = 1 if question.kind == "open" else recruit
    names = ranking.top(recruit)
    explanation: dict[str, Any] = {"method": MIXTURE, "experts": list(names), **ranking_json(ranking)}
    if chat.stream:
        yield ProgressEvent({"routed": list(names)})
    if question.kind == "open":
        expert = collegium.experts[names[0]]
        wanted = chat.sampling(expert.context, temperature=0.0)
        chat_events = ask_expert(
            collegium.pool,
            expert,
            chat.conversation,
            wanted,
            n=chat.n,
            seed=chat.seed,
            stream=chat.stream,
            max_wait=max_wait,
        )
        async for event in chat_events:
            if isinstance(event, UsageEvent):
                event = replace(event, explanation=explanation | (event.explanation or {}))
            yield event
        return
    reply_events = _ReplyEvents()
    pool = ChatPool(collegium.pool, question.question, history, max_wait, reply_events.reply)
    experts = [collegium.experts[name] for name in names]
    sampling = _sampling(chat, min(expert.context for expert in experts))
    seed = _seed(chat, collegium)
    replies = await asyncio.gather(*(answer(pool, one, question, sampling, seed) for one in experts))
    probabilities = [ranking.probability(name) for name in names]
    verdict = log_odds([one.reply.answer for one in replies], probabilities, options=options_of(question))
    explanation["votes"] = [{"answer": group.answer, "weight": group.weight} for group in verdict.groups]
    yield TextEvent(_spoken(verdict.answer, replies))
    yield FinishEvent("stop")
    yield reply_events.account(explanation | {"answer": verdict.answer, "confidence": verdict.share})


async def ask_method(
    collegium: Collegium, routing: ServiceRouting, method: Method, chat: ChatBody, max_wait: float | None
) -> ChatEvents:
    """Run a method on the last user turn, within the conversation; a stream hears of every reply as it comes."""
    question, history = as_question(chat)
    sampling = _sampling(chat, min(expert.context for expert in collegium.experts.values()))
    profiled = await _profiled(routing, method)
    reply_events = _ReplyEvents()
    pool = ChatPool(collegium.pool, question.question, history, max_wait, reply_events.reply)
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
    yield TextEvent((transcript.reply if transcript else "") or _spoken(found.answer, found.used))
    yield FinishEvent("stop")
    yield reply_events.account(_explained(method.name, outcome, transcript, chat.collegium.explain))


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
    return Question(id=f"chat-{secrets.token_hex(8)}", question=text, kind=kind, choices=choices), tuple(history)


def routed_text(conversation: Sequence[PromptMessage]) -> str:
    """What routing looks at: the system prompt and the last user turn."""
    system = [text for role, text in conversation if role == "system" and text.strip()]
    return "\n\n".join([*system, conversation[-1][1]])


class _ReplyEvents:
    """What the experts said so far: counted, and queued for a stream."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._replies: list[Completion] = []
        self._calls: dict[str, int] = {}

    def reply(self, expert: str, completion: Completion) -> None:
        self._replies.append(completion)
        number = self._calls[expert] = self._calls.get(expert, 0) + 1
        self.events.put_nowait({"expert": expert, "reply": number, "text": completion.text})

    def account(self, explanation: dict[str, Any]) -> UsageEvent:
        replies = self._replies
        counts = {"calls": len(replies), "cached_calls": sum(one.cached for one in replies)}
        return UsageEvent(
            sum(one.prompt_tokens for one in replies),
            sum(one.completion_tokens for one in replies),
            explanation | {"experts": list(self._calls), **counts},
        )


def _sampling(chat: ChatBody, context: int) -> Sampling:
    if chat.response_format and chat.response_format.structured:
        raise RequestError("response_format: several experts answer in their own form: ask one expert")
    if chat.ignore_eos:
        raise RequestError("ignore_eos: the answer of several experts has its own end: ask one expert")
    if chat.logprobs:
        raise RequestError("logprobs: the answer of several experts has none: ask one expert")
    return chat.sampling(context, temperature=0.0)


def _seed(chat: ChatBody, collegium: Collegium) -> int:
    """The configuration's where the client says nothing: what a method draws for its own fitting is drawn once."""
    return collegium.config.seed if chat.seed is None else abs(chat.seed)


def _spoken(found: str | None, used: Sequence[ExpertReply]) -> str:
    """The answer in the words of whoever gave it and was surest; without an answer, what the first one said."""
    agreeing = [one for one in used if one.reply.answer == found] or list(used)
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
