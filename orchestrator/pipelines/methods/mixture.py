"""Experts behind a router: those whose skills fit answer, and vote by how likely each is right."""

from __future__ import annotations

import asyncio

from agents.votes import log_odds
from orchestrator.pipelines.answering import is_right
from orchestrator.pipelines.methods.method import Answer, Outcome, Setting
from orchestrator.report.data import RankedExpert
from router.routers import KnnRouter

NEIGHBOURS, SHRINKAGE = 16, 1.0
"""Of the kNN router: profiles here are small (tens of questions a task), and experts are far apart."""


async def mixture(setting: Setting) -> list[Outcome]:
    """An embedding-kNN router picks `recruit` experts a question; several vote by the log-odds of being right."""
    table = setting.fitted_on
    embed = setting.embedder.features
    fitted, asked = await asyncio.to_thread(embed, table.questions), [q.question for q in setting.questions]
    router = KnnRouter.fit(table, fitted, neighbours=NEIGHBOURS, shrinkage=SHRINKAGE)
    rankings = router.rank(await asyncio.to_thread(embed, asked))
    chosen = [ranking.top(setting.recruit) for ranking in rankings]
    pairs = [(q, setting.experts[name]) for q, names in zip(setting.questions, chosen, strict=True) for name in names]
    replies = await setting.ask(pairs)
    answers = []
    for question, ranking, names in zip(setting.questions, rankings, chosen, strict=True):
        used = tuple(replies[question.id, name] for name in names)
        verdict = log_odds([one.reply.answer for one in used], [ranking.probability(name) for name in names])
        near = ", ".join(evidence.label for evidence in ranking.evidence[:3])
        shown = tuple(
            RankedExpert(expert=entry.expert, score=entry.score, reason=f"nearest: {near}" if place == 0 else "")
            for place, entry in enumerate(ranking.entries)
        )
        right = is_right(question, verdict.answer)
        answers.append(Answer(question, verdict.answer, right, used, shown, verdict.share))
    used_experts = len({name for names in chosen for name in names})
    note = f"kNN router, {setting.recruit} of {len(setting.experts)} experts a question; {used_experts} were used"
    return [Outcome("mixture", tuple(answers), note)]
