"""A chat with `mixture`: the expert that the question and its conversation suit sees the chat as it is; answers of a
kind are voted on by as many experts as they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from orchestrator.chats.asking import (
    MIXTURE,
    as_question,
    chat_pool,
    check_wishes,
    content_of,
    conversation_text,
    joint_sampling,
    seed_of,
)
from orchestrator.chats.chat_body import ChatBody
from orchestrator.chats.chat_events import ChatEvents, FinishEvent, ProgressEvent, TextEvent, UsageEvent
from orchestrator.chats.conversation_experts import stay
from orchestrator.chats.expert_health import ExpertHealth
from orchestrator.chats.experts import ask_expert
from orchestrator.chats.fallback import FirstReply
from orchestrator.chats.protocols import ServiceRouting, Zoo
from orchestrator.chats.reply_events import ReplyEvents, failures_json, slow_json
from orchestrator.chats.routing import ranking_json
from orchestrator.chats.tools import with_calls, with_tools
from orchestrator.config import ServiceConfig
from orchestrator.evaluation.methods import Setting
from orchestrator.evaluation.methods.mixture import put_to
from orchestrator.evaluation.mixture.deciding import RecruitTarget
from orchestrator.inference.prices import total, withdrawn


async def ask_mixture(
    collegium: Zoo, routing: ServiceRouting, health: ExpertHealth, chat: ChatBody, max_wait: float | None
) -> ChatEvents:
    """The experts that suit the last user turn answer, down the ranking where some fail. One of them alone sees the
    chat as it is; several answer the question in their form (`solve`), and their answers are counted by the log-odds
    of being right. Raises `NoAnswer` if none of those that may be asked gives a reply."""
    question, turns = as_question(chat, tools=chat.collegium.kind == "open" and not chat.collegium.choices)
    counted = question.kind != "open"
    check_wishes(chat, recruits=counted, by_need=counted)
    mixture = await routing.mixture()  # one for the whole chat, whatever becomes ready meanwhile
    (ranking,) = await routing.rank([question.question], [conversation_text(turns.history)], mixture)
    if not counted and (last := routing.conversations.last(chat.conversation)) is not None:
        ranking = stay(ranking, last, tools=chat.conversation[-1][0] == "tool")
    service = collegium.config.service
    order = health.order(ranking.experts)
    # Who failed lately is asked last: where the ranking says otherwise, the explanation says why.
    troubled = health.troubled()
    resting = {name: troubled[name] for name in order if name in troubled and _later(name, ranking.experts, order)}
    explanation: dict[str, Any] = {"method": MIXTURE, "mixture": mixture.origin.version, **ranking_json(ranking)}
    explanation |= {"resting": resting} if resting else {}
    if not counted:
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
                asked = dict.fromkeys([*reply.failures, *reply.slow, reply.winner])
                details: dict[str, Any] = {
                    "asked": [*asked],
                    "stopped": "one expert answers an open chat",
                    "experts": [reply.winner],
                }
                details |= {**failures_json(reply.failures), **slow_json(reply.slow)}
                if unused := reply.unused():
                    details["unused"] = unused
                if reply.winner is not None:
                    routing.conversations.answered(chat.conversation, reply.winner)
                event = replace(
                    event,
                    explanation={**(event.explanation or {}), **explanation, **details},
                    cost=total([event.cost, *unused.values()]),
                )
            yield event
        return
    target = target_of(chat, service, len(order))
    room = order if target.by_need else order[: target.recruit + service.fallbacks]
    reply_events = ReplyEvents(health, collegium.experts)
    pool = chat_pool(collegium, turns, max_wait, reply_events)
    sampling = joint_sampling(chat, min(collegium.experts[name].context for name in room))
    context = replace(collegium.context(), workers=lambda: pool)
    setting = Setting(context, [question], sampling, seed_of(chat, collegium))
    decision, used = await put_to(setting, mixture, question, ranking, target, order, service.fallbacks)
    verdict, replied = decision.verdict, [one for one in used if one.error is None]
    text = content_of(verdict.answer, replied)
    if not text.strip():
        raise reply_events.no_answer()
    if chat.stream:
        yield ProgressEvent({"routed": [one.expert for one in replied]})
    explanation |= {"asked": list(decision.asked), "stopped": decision.stopped}
    if decision.gains:
        explanation["expected_gains"] = list(decision.gains)
    written = {one.reply.answer: one.reply.displayed for one in reversed(replied)}
    explanation["votes"] = [
        {
            "answer": written.get(group.answer),
            "weight": group.weight,
            "experts": [replied[voter].expert for voter in group.voters],
        }
        for group in verdict.groups
    ]
    yield TextEvent(text)
    yield FinishEvent(reply_events.finish_reason(text))
    found = written.get(verdict.answer)
    yield reply_events.account(explanation | {"answer": found, "confidence": verdict.share})


def _later(name: str, ranked: Sequence[str], order: Sequence[str]) -> bool:
    """Whether an expert is asked after one that it stands before in the ranking."""
    return bool(set(order[: order.index(name)]) - set(ranked[: ranked.index(name)]))


def target_of(chat: ChatBody, service: ServiceConfig, experts: int) -> RecruitTarget:
    """How many experts a chat wants, else how many the configuration wants: by need, or always so many."""
    wanted = chat.collegium
    if wanted.recruit is not None or wanted.calls is not None:
        return RecruitTarget(min(wanted.recruit or 1, experts), wanted.calls)
    return RecruitTarget(min(service.recruit, experts), service.calls, service.spend)
