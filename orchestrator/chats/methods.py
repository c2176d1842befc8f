"""A chat with several experts: `mixture`, and every method of the pipelines' list (discussions, symbolic-moe, ...)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from agents.discussions.fusion import CALLS, SYNTHESIS, fusion_account
from agents.question import Question
from agents.transcript import Transcript
from orchestrator.chats.asking import (
    MIXTURE,
    REPETITION,
    as_question,
    chat_pool,
    check_wishes,
    content_of,
    conversation_text,
    joint_sampling,
    seed_of,
)
from orchestrator.chats.chat_body import ChatBody
from orchestrator.chats.chat_events import ChatEvents, FinishEvent, TextEvent, ToolCallEvent
from orchestrator.chats.chat_turns import ChatTurns
from orchestrator.chats.expert_health import ExpertHealth
from orchestrator.chats.mixture import ask_mixture
from orchestrator.chats.protocols import ServiceRouting, Zoo
from orchestrator.chats.reply_events import ReplyEvents
from orchestrator.chats.tools import with_tools
from orchestrator.config import Config
from orchestrator.errors import NotReady
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.evaluation.discussing import own_discussion
from orchestrator.evaluation.methods import METHODS, Method, MethodOptions, MethodOutcome, Setting
from orchestrator.evaluation.methods.discussion import own_method
from orchestrator.evaluation.methods.fusion import fusion_methods
from orchestrator.evaluation.profile import AskingRequest, Profiled
from orchestrator.fusion_config import FusionConfig
from orchestrator.inference.engines.tools import ParsedCall, parse_calls
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Sampling

MAX_CALLS = 16
"""Calls of tools that a panel's members make together."""


def methods_of(config: Config) -> Mapping[str, Method]:
    """Methods that give one answer, as model ids; the user's own fusions and discussions among them."""
    own = [own_method(name, own_discussion(path, Path.cwd())) for name, path in config.discussions.items()]
    return {method.name: method for method in (*METHODS, *fusion_methods(config.fusions), *own) if method.answers_once}


def left_out(methods: Mapping[str, Method], chat: ChatBody) -> tuple[str, ...]:
    """Fields of the chat that the method answers without: tools that need not be called, where its experts share none
    and none was called so far. Chat pages offer some with every message."""
    shares = methods[chat.model].takes_tools
    if chat.model == MIXTURE:
        shares = chat.collegium.kind == "open" and not chat.collegium.choices
    needed = chat.turns or chat.tool_choice not in (None, "auto", "none")
    return ("tools",) if chat.tools and not shares and not needed else ()


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
    check_wishes(chat, recruits=method.recruits, by_need=method.asks_by_need, fuses=method.writes)
    sampling = joint_sampling(chat, min(expert.context for expert in collegium.experts.values()), structured=writes)
    profiled = await _profiled(routing, method)
    reply_events = ReplyEvents(health, collegium.experts)
    offered = turns.tool_rounds < _tool_rounds(collegium.config, method.name)
    bounded = writes or chat.max_tokens or chat.max_completion_tokens
    offer = partial(_offered, chat, offered)
    pool = chat_pool(collegium, turns, max_wait, reply_events, offer, None if bounded else REPETITION)
    context = replace(collegium.context(), workers=lambda: pool)
    recruit = min(chat.collegium.recruit, len(collegium.experts)) if chat.collegium.recruit else None
    setting = Setting(
        context,
        [question],
        replace(sampling, structured=None),
        seed_of(chat, collegium),
        MethodOptions(recruit=recruit, calls=chat.collegium.calls, preset=chat.collegium.preset),
        profiled,
        preferred=await _preferred(collegium, routing, health, question, turns) if writes else (),
        stream=chat.stream and writes,
        tools=frozenset(tool.function.name for tool in chat.offered_tools) if offered else frozenset(),
        structured=sampling.structured,
        fitting=AskingRequest().sampling,
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
    text = (transcript.reply if transcript else "") or content_of(found.answer, found.used)
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


def _explained(
    name: str, outcome: MethodOutcome, transcript: Transcript | None, fully: bool, writes: bool
) -> dict[str, Any]:
    found = outcome.answers[0]
    explanation: dict[str, Any] = {
        "method": name,
        "note": outcome.note,
        "answer": found.displayed,
        "confidence": found.confidence,
        "ranking": [entry.model_dump(mode="json") for entry in found.ranking],
    }
    if transcript is None:
        votes: dict[str | None, list[ExpertReply]] = {}
        for one in found.used:
            votes.setdefault(one.reply.answer, []).append(one)
        counted = [
            {"answer": given[0].reply.displayed, "experts": [one.expert for one in given]} for given in votes.values()
        ]
        return explanation | {"votes": counted}
    explanation |= {
        "rounds": transcript.rounds,
        "stopped": transcript.stopped,
        "votes": [
            vote.model_dump(mode="json", exclude={"abstentions"}) | {"answer": transcript.as_written(vote.answer)}
            for vote in transcript.votes
        ],
    }
    if talk := {key: value for key, value in transcript.settings.items() if key.startswith("talk_")}:
        explanation["talk"] = {key.removeprefix("talk_"): value for key, value in talk.items()}
        if isinstance(moves := talk.get("talk_moves"), str):
            explanation["talk"]["moves"] = json.loads(moves)
    if writes:
        explanation["fusion"] = fusion_account(transcript)
    return explanation | ({"transcript": transcript.model_dump(mode="json")} if fully else {})
