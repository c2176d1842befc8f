"""A chat with several experts: `mixture`, and every method of the pipelines' list (discussions, symbolic-moe, ...)."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from agents.discussions.fusion import CALLS, SYNTHESIS, fusion_account
from agents.question import CHAT, Question
from agents.transcript import Transcript
from orchestrator.chats.chat_body import ChatBody
from orchestrator.chats.chat_events import ChatEvents, FinishEvent, ProgressEvent, TextEvent, ToolCallEvent, UsageEvent
from orchestrator.chats.chat_pool import ChatPool
from orchestrator.chats.chat_turns import ChatTurns, chat_turns
from orchestrator.chats.expert_health import ExpertHealth
from orchestrator.chats.experts import ask_expert
from orchestrator.chats.fallback import FirstReply
from orchestrator.chats.protocols import ServiceRouting, Zoo
from orchestrator.chats.reply_events import ReplyEvents, failures_json, slow_json
from orchestrator.chats.routing import ranking_json
from orchestrator.chats.tools import with_calls, with_tools
from orchestrator.config import Config, ServiceConfig
from orchestrator.errors import NotReady, RequestError
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.evaluation.discussing import own_discussion
from orchestrator.evaluation.methods import METHODS, Method, MethodOptions, MethodOutcome, Setting
from orchestrator.evaluation.methods.discussion import own_method
from orchestrator.evaluation.methods.fusion import fusion_methods
from orchestrator.evaluation.methods.mixture import put_to
from orchestrator.evaluation.mixture.deciding import RecruitTarget
from orchestrator.evaluation.profile import Profiled
from orchestrator.fusion_config import FusionConfig
from orchestrator.inference.engines.tools import ParsedCall, parse_calls
from orchestrator.inference.expert import Expert
from orchestrator.inference.prices import total, withdrawn
from orchestrator.inference.request import PromptMessage, Sampling

MIXTURE = "mixture"
MAX_CALLS = 16
"""Calls of tools that a panel's members make together."""


def methods_of(config: Config) -> Mapping[str, Method]:
    """Methods that give one answer, as model ids; the user's own fusions and discussions among them."""
    own = [own_method(name, own_discussion(path, Path.cwd())) for name, path in config.discussions.items()]
    return {method.name: method for method in (*METHODS, *fusion_methods(config.fusions), *own) if method.answers_once}


async def ask_mixture(
    collegium: Zoo, routing: ServiceRouting, health: ExpertHealth, chat: ChatBody, max_wait: float | None
) -> ChatEvents:
    """The experts that suit the last user turn answer, down the ranking where some fail. One of them alone sees the
    chat as it is; several answer the question in their form (`solve`), and their answers are counted by the log-odds
    of being right. Raises `NoAnswer` if none of those that may be asked gives a reply."""
    question, turns = as_question(chat, tools=chat.collegium.kind == "open" and not chat.collegium.choices)
    mixture = await routing.mixture()  # one for the whole chat, whatever becomes ready meanwhile
    (ranking,) = await routing.rank([question.question], [conversation_text(turns.history)], mixture)
    service = collegium.config.service
    order = health.order(ranking.experts)
    explanation: dict[str, Any] = {"method": MIXTURE, "mixture": mixture.origin.version, **ranking_json(ranking)}
    if question.kind == "open":
        names = order[: 1 + service.fallbacks]

        def ask(name: str) -> ChatEvents:
            expert = collegium.experts[name]
            wanted = chat.sampling(expert.context, temperature=0.0)
            said = ask_expert(
                collegium.pool,
                expert,
                chat.conversation,
                with_tools(chat, wanted, remote=expert.remote is not None),
                n=chat.n,
                seed=chat.seed,
                stream=chat.stream,
                max_wait=max_wait,
            )
            return with_calls(said, chat) if chat.tools else said

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
    target = target_of(chat, service, len(order))
    room = order if target.calls else order[: target.recruit + service.fallbacks]
    reply_events = ReplyEvents(health, collegium.experts)
    pool = _chat_pool(collegium, turns, max_wait, reply_events)
    sampling = _sampling(chat, min(collegium.experts[name].context for name in room))
    context = replace(collegium.context(), workers=lambda: pool)
    setting = Setting(context, [question], sampling, _seed(chat, collegium))
    decision, used = await put_to(setting, mixture, question, ranking, target, order, service.fallbacks)
    verdict, replied = decision.verdict, [one for one in used if one.error is None]
    text = _content_of(verdict.answer, replied)
    if not text.strip():
        raise reply_events.no_answer()
    if chat.stream:
        yield ProgressEvent({"routed": [one.expert for one in replied]})
    explanation |= {"asked": list(decision.asked), "stopped": decision.stopped}
    if decision.gains:
        explanation["expected_gains"] = list(decision.gains)
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


def target_of(chat: ChatBody, service: ServiceConfig, experts: int) -> RecruitTarget:
    """How many experts a chat wants, else how many the configuration wants: by need, or always so many."""
    wanted = chat.collegium
    if wanted.recruit is not None or wanted.calls is not None:
        return RecruitTarget(min(wanted.recruit or 1, experts), wanted.calls)
    return RecruitTarget(min(service.recruit, experts), service.calls)


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
    question, turns = as_question(chat, tools=method.takes_tools)
    writes = method.writes and question.kind == "open" and not question.choices
    sampling = _sampling(chat, min(expert.context for expert in collegium.experts.values()), structured=writes)
    profiled = await _profiled(routing, method)
    reply_events = ReplyEvents(health, collegium.experts)
    offered = turns.tool_rounds < _tool_rounds(collegium.config, method.name)
    pool = _chat_pool(collegium, turns, max_wait, reply_events, partial(_offered, chat, offered))
    context = replace(collegium.context(), workers=lambda: pool)
    recruit = min(chat.collegium.recruit, len(collegium.experts)) if chat.collegium.recruit else None
    setting = Setting(
        context,
        [question],
        replace(sampling, structured=None),
        _seed(chat, collegium),
        MethodOptions(recruit=recruit, preset=chat.collegium.preset),
        profiled,
        preferred=await _preferred(collegium, routing, health, question, turns) if writes else (),
        stream=chat.stream and writes,
        tools=frozenset(tool.function.name for tool in chat.offered_tools) if offered else frozenset(),
        structured=sampling.structured,
    )
    if method.prepare is not None and profiled is not None:
        own = replace(setting, context=collegium.context(), seed=collegium.config.seed)
        await _prepared(method.prepare, own, max_wait)
    working = asyncio.ensure_future(method.run(setting))
    working.add_done_callback(lambda _: reply_events.events.put_nowait(None))
    try:
        while (event := await reply_events.events.get()) is not None:
            if isinstance(event, TextEvent) or chat.stream:
                yield event
        (outcome, *_) = await working
    finally:
        working.cancel()
    found = outcome.answers[0]
    transcript = outcome.transcripts[0] if outcome.transcripts else None
    explanation = _explained(method.name, outcome, transcript, chat.collegium.explain, writes)
    if transcript is not None and transcript.stopped == CALLS:
        yield ToolCallEvent(_calls_of(transcript, setting.tools, chat))
        yield FinishEvent("tool_calls")
        yield reply_events.account(explanation)
        return
    text = (transcript.reply if transcript else "") or _content_of(found.answer, found.used)
    unwritten = setting.structured is not None and (transcript is None or transcript.stopped != SYNTHESIS)
    if found.failed or unwritten or not text.strip():
        raise reply_events.no_answer()
    if not reply_events.streamed:
        yield TextEvent(text)
    yield FinishEvent(reply_events.finish_reason(text))
    yield reply_events.account(explanation)


async def _prepared(prepare: Callable[[Setting], Awaitable[object]], setting: Setting, wait: float | None) -> None:
    """What the method fits on the profile, once for all chats and at none's expense. Raises `NotReady` where it takes
    longer than a chat waits; it goes on meanwhile."""
    try:
        async with asyncio.timeout(wait):
            await prepare(setting)
    except TimeoutError:
        raise NotReady("what this method keeps of the profile is being fitted: try again later") from None


def _chat_pool(
    collegium: Zoo,
    turns: ChatTurns,
    max_wait: float | None,
    reply_events: ReplyEvents,
    offer: Callable[[Expert, Sampling], Sampling] = lambda expert, sampling: sampling,
) -> ChatPool:
    return ChatPool(
        collegium.pool,
        turns,
        max_wait,
        reply_events.reply,
        reply_events.failure,
        collegium.config.service.reply_seconds,
        on_text=reply_events.text,
        on_streamed=reply_events.streamed_reply,
        hold=reply_events.holds,
        offer=offer,
    )


def _offered(chat: ChatBody, offered: bool, expert: Expert, sampling: Sampling) -> Sampling:
    """What a member of the panel is asked with: the chat's tools and what was done with them, as `with_tools`; without
    new calls once there were enough."""
    shown = chat if offered else chat.model_copy(update={"tool_choice": "none"})
    return with_tools(shown, sampling, remote=expert.remote is not None)


def _tool_rounds(config: Config, name: str) -> int:
    return config.fusions.get(name, FusionConfig()).tool_rounds


def _calls_of(transcript: Transcript, tools: frozenset[str], chat: ChatBody) -> tuple[ParsedCall, ...]:
    """What the panel's members call together, each call once."""
    calls = [call for turn in transcript.turns for call in parse_calls(turn.text, tools)[1]]
    distinct = {(call.name, json.dumps(json.loads(call.arguments), sort_keys=True)): call for call in calls}
    return tuple(distinct.values())[: 1 if chat.parallel_tool_calls is False else MAX_CALLS]


async def _preferred(
    collegium: Zoo, routing: ServiceRouting, health: ExpertHealth, question: Question, turns: ChatTurns
) -> tuple[str, ...]:
    """The experts, those that suit the question first, those in trouble last; without a profile in the zoo's order."""
    try:
        (ranking,) = await routing.rank([question.question], [conversation_text(turns.history)])
        names = list(ranking.experts)
    except NotReady:
        names = list(collegium.experts)
    return tuple(health.order(names))


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


def method_events(
    zoo: Zoo,
    routing: ServiceRouting,
    health: ExpertHealth,
    methods: Mapping[str, Method],
    chat: ChatBody,
    max_wait: float | None,
) -> ChatEvents:
    """What comes of a chat whose `model` is one of `methods`."""
    if chat.model == MIXTURE:
        return ask_mixture(zoo, routing, health, chat, max_wait)
    return ask_method(zoo, routing, health, methods[chat.model], chat, max_wait)


def as_question(chat: ChatBody, *, tools: bool = False) -> tuple[Question, ChatTurns]:
    """The last user turn as a question, and the chat around it. Raises `RequestError` if there is none, and for tools
    where none can be taken."""
    if not tools and (chat.tools or chat.turns):
        raise RequestError("tools: several experts cannot share tools: ask one expert, or leave them out")
    if chat.n > 1 and (chat.model != MIXTURE or chat.collegium.kind != "open"):
        raise RequestError("n: several experts give one answer together")
    turns = chat_turns(chat.conversation, chat.turns, tools=bool(chat.tools))
    choices = chat.collegium.choices
    kind = "choice" if choices else chat.collegium.kind
    id = f"chat-{secrets.token_hex(8)}"
    return Question(id=id, task=CHAT, question=turns.question, kind=kind, choices=choices), turns


def conversation_text(history: Sequence[PromptMessage]) -> str:
    """What routing looks at beside the last user turn: the turns before it; without any, the system prompt."""
    turns = [text for role, text in history if role != "system" and text.strip()]
    system = [text for role, text in history if role == "system" and text.strip()]
    return "\n\n".join(turns or system)


def _sampling(chat: ChatBody, context: int, *, structured: bool = False) -> Sampling:
    if chat.response_format and chat.response_format.structured and not structured:
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


def _explained(
    name: str, outcome: MethodOutcome, transcript: Transcript | None, fully: bool, writes: bool
) -> dict[str, Any]:
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
    if writes:
        explanation["fusion"] = fusion_account(transcript)
    return explanation | ({"transcript": transcript.model_dump(mode="json")} if fully else {})
