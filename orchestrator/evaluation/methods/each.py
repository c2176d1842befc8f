"""Every expert alone, and what choosing among them could reach at most."""

from __future__ import annotations

from orchestrator.evaluation.methods.method import Answer, MethodOutcome, Setting, alone


async def each(setting: Setting) -> list[MethodOutcome]:
    """Every expert alone, and the oracle: the share of questions that any expert gets right."""
    replies = await setting.ask([(q, expert) for expert in setting.experts.values() for q in setting.questions])
    outcomes = [
        MethodOutcome(
            name, tuple(alone(replies[question.id, name]) for question in setting.questions), "alone", role="expert"
        )
        for name in setting.experts
    ]
    oracle = []
    for question in setting.questions:
        used = tuple(replies[question.id, name] for name in setting.experts)
        replied = [one for one in used if one.error is None] or list(used)
        unsure = next((one for one in replied if one.unscored is not None), replied[0])
        winner = next((one for one in replied if one.right), unsure)
        oracle.append(Answer(question, winner.reply.answer, winner.right, used))
    note = "right if any expert is: no router can do better"
    return [*outcomes, MethodOutcome("oracle", tuple(oracle), note, role="bound")]
