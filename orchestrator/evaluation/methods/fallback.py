"""Down a router's ranking: where an expert gives no reply, the next one is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agents.question import Question
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.evaluation.methods.method import Setting

MAX_FALLBACKS = 4
"""Further experts that one question may be put to."""


async def ask_down(
    setting: Setting, wanted: Sequence[tuple[Question, Sequence[str]]], recruit: int
) -> Mapping[str, tuple[ExpertReply, ...]]:
    """Question id -> the replies of the first `recruit` experts of its ranking that give one, in the order in which
    they were asked; failed ones stand among them. All questions go down their rankings side by side."""
    asked: dict[str, list[ExpertReply]] = {question.id: [] for question, _ in wanted}
    while True:
        pairs = []
        for question, ranking in wanted:
            known = asked[question.id]
            missing = recruit - sum(one.error is None for one in known)
            room = recruit + MAX_FALLBACKS - len(known)
            following = ranking[len(known) : len(known) + min(missing, room)]
            pairs += [(question, setting.experts[name]) for name in following]
        if not pairs:
            return {id: tuple(replies) for id, replies in asked.items()}
        replies = await setting.ask(pairs)
        for question, expert in pairs:
            asked[question.id].append(replies[question.id, expert.name])


def fallback_note(asked: Mapping[str, Sequence[ExpertReply]]) -> str:
    """How many questions went on to another expert, for the reader; empty where none did."""
    moved = sum(any(one.error is not None for one in replies) for replies in asked.values())
    return f"; {moved} questions went on to the next expert after a failure" if moved else ""
