"""All experts answer, and the answers are counted."""

from __future__ import annotations

from agents.votes import majority
from orchestrator.pipelines.answering import is_right
from orchestrator.pipelines.methods.method import Answer, Outcome, Setting


async def vote(setting: Setting) -> list[Outcome]:
    """All experts answer; the majority wins."""
    replies = await setting.ask([(q, expert) for expert in setting.experts.values() for q in setting.questions])
    answers = []
    for question in setting.questions:
        used = tuple(replies[question.id, name] for name in setting.experts)
        verdict = majority([one.reply.answer for one in used], [one.reply.confidence for one in used])
        answers.append(Answer(question, verdict.answer, is_right(question, verdict.answer), used, (), verdict.share))
    return [Outcome("vote", tuple(answers), f"majority of {len(setting.experts)} experts")]
