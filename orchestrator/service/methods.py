"""A chat with several experts: `mixture`, and every method of the pipelines' list (votes, discussions, ...)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from agents.question import Question
from agents.votes import log_odds
from orchestrator.collegium import Collegium
from orchestrator.errors import RequestError
from orchestrator.pipelines.answering import Answered, answer
from orchestrator.pipelines.methods import METHODS, Answer, Method, Setting
from orchestrator.schedule.request import Completion, Message, Sampling
from orchestrator.service.chat_pool import ChatPool
from orchestrator.service.experts import ask_expert
from orchestrator.service.parts import Account, End, Note, Parts, Piece
from orchestrator.service.routing import Routing, told
from orchestrator.service.schema import ChatRequest

MIXTURE = "mixture"
LONGEST_QUESTION = 100_000
"""Characters of a last user turn."""


def offered() -> tuple[str, ...]:
    """Methods that give one answer, as model ids."""
    return tuple(method.name for method in METHODS if method.name != "each")


async def ask_mixture(collegium: Collegium, routing: Routing, chat: ChatRequest, max_wait: float) -> Parts:
    """The experts that suit the last user turn answer. One of them alone sees the chat as it is; several answer the
    question in their form (`solve`), and their answers are counted by the log-odds of being right."""
    question, history = as_question(chat)
    (ranking,) = await routing.rank([routed_text(chat.conversation)])
    recruit = min(chat.collegium.recruit or collegium.config.service.recruit, len(ranking.experts))
    recruit = 1 if question.kind == "open" else recruit
    names = ranking.top(recruit)
    explanation: dict[str, Any] = {"method": MIXTURE, "experts": list(names), **told(ranking)}
    if chat.stream:
        yield Note({"routed": list(names)})
    if question.kind == "open":
        expert = collegium.experts[names[0]]
        wanted = chat.sampling(expert.context, temperature=0.0)
        parts = ask_expert(
            collegium.pool,
            expert,
            chat.conversation,
            wanted,
            n=chat.n,
            seed=chat.seed,
            stream=chat.stream,
            max_wait=max_wait,
        )
        async for part in parts:
            yield (
                replace(part, explanation=explanation | (part.explanation or {})) if isinstance(part, Account) else part
            )
        return
    heard = _Heard()
    pool = ChatPool(collegium.pool, history, max_wait, heard.reply)
    experts = [collegium.experts[name] for name in names]
    sampling = _sampling(chat, min(expert.context for expert in experts))
    replies = await asyncio.gather(*(answer(pool, one, question, sampling, _seed(chat)) for one in experts))
    verdict = log_odds([one.reply.answer for one in replies], [ranking.probability(name) for name in names])
    explanation["votes"] = [{"answer": group.answer, "weight": group.weight} for group in verdict.groups]
    for part in _spoken(verdict.answer, replies):
        yield part
    yield heard.account(explanation | {"answer": verdict.answer, "confidence": verdict.share})


async def ask_method(
    collegium: Collegium, routing: Routing, method: Method, chat: ChatRequest, max_wait: float
) -> Parts:
    """Run a method on the last user turn, within the conversation; a stream hears of every reply as it comes."""
    question, history = as_question(chat)
    heard = _Heard()
    pool = ChatPool(collegium.pool, history, max_wait, heard.reply)
    sampling = _sampling(chat, min(expert.context for expert in collegium.experts.values()))
    recruit = min(chat.collegium.recruit or collegium.config.service.recruit, len(collegium.experts))
    setting = Setting(
        pool=pool,
        experts=collegium.experts,
        questions=[question],
        profile=await routing.table() if method.fitted else None,
        embedder=collegium.embedder,
        sampling=sampling,
        seed=_seed(chat),
        recruit=recruit,
        done=lambda: None,
    )
    working = asyncio.ensure_future(method.run(setting))
    working.add_done_callback(lambda _: heard.events.put_nowait(None))
    try:
        while (event := await heard.events.get()) is not None:
            if chat.stream:
                yield Note(event)
        (outcome, *_) = await working
    finally:
        working.cancel()
    found = outcome.answers[0]
    for part in _spoken(found.answer, found.used):
        yield part
    yield heard.account({"method": method.name, "note": outcome.note, **_explained(found)})


def as_question(chat: ChatRequest) -> tuple[Question, tuple[Message, ...]]:
    """The last user turn as a question, and the conversation before it. Raises `RequestError` if there is none."""
    if chat.tools:
        raise RequestError("tools: several experts cannot share tools: ask one expert, or leave them out")
    if chat.n > 1 and chat.collegium.kind != "open":
        raise RequestError("n: several experts give one answer together")
    *history, (role, text) = chat.conversation
    if role != "user" or not text.strip():
        raise RequestError("messages: the last message must be a user's, and not empty")
    if len(text) > LONGEST_QUESTION:
        raise RequestError(f"messages: the last message has more than {LONGEST_QUESTION} characters")
    choices = chat.collegium.choices
    kind = "choice" if choices else chat.collegium.kind
    return Question(id=f"chat-{secrets.token_hex(8)}", question=text, kind=kind, choices=choices), tuple(history)


def routed_text(conversation: Sequence[Message]) -> str:
    """What routing looks at: the system prompt and the last user turn."""
    system = [text for role, text in conversation if role == "system" and text.strip()]
    return "\n\n".join([*system, conversation[-1][1]])


class _Heard:
    """What the experts said so far: counted, and queued for a stream."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._said: list[tuple[str, Completion]] = []
        self._calls: dict[str, int] = {}

    def reply(self, expert: str, completion: Completion) -> None:
        self._said.append((expert, completion))
        self._calls[expert] = self._calls.get(expert, 0) + 1
        self.events.put_nowait({"expert": expert, "reply": self._calls[expert], "text": completion.text})

    def account(self, explanation: dict[str, Any]) -> Account:
        completions = [completion for _, completion in self._said]
        return Account(
            sum(one.prompt_tokens for one in completions),
            sum(one.completion_tokens for one in completions),
            explanation
            | {
                "experts": list(self._calls),
                "calls": len(completions),
                "cached_calls": sum(one.cached for one in completions),
            },
        )


def _sampling(chat: ChatRequest, context: int) -> Sampling:
    if chat.response_format and chat.response_format.structured:
        raise RequestError("response_format: several experts answer in their own form: ask one expert")
    if chat.logprobs:
        raise RequestError("logprobs: the answer of several experts has none: ask one expert")
    return chat.sampling(context, temperature=0.0)


def _seed(chat: ChatRequest) -> int:
    return secrets.randbits(62) if chat.seed is None else abs(chat.seed)


def _spoken(found: str | None, used: Sequence[Answered]) -> list[Piece | End]:
    """The answer in the words of whoever gave it and was surest; without an answer, what the first one said."""
    agreeing = [one for one in used if one.reply.answer == found] or list(used)
    speaker = max(agreeing, key=lambda one: one.reply.confidence or 0.0, default=None)
    text = speaker.reply.text if speaker else ""
    return [Piece(text or found or ""), End("stop")]


def _explained(found: Answer) -> dict[str, Any]:
    votes: dict[str | None, list[str]] = {}
    for one in found.used:
        votes.setdefault(one.reply.answer, []).append(one.expert)
    return {
        "answer": found.answer,
        "confidence": found.confidence,
        "votes": [{"answer": given, "experts": experts} for given, experts in votes.items()],
        "ranking": [entry.model_dump(mode="json") for entry in found.ranking],
    }
