"""Experts behind a router: those whose skills fit answer, and vote by how likely each is right."""

from __future__ import annotations

import asyncio

from agents.votes import AT_THEIR_WORD, log_odds, options_of
from orchestrator.evaluation.answering import is_right
from orchestrator.evaluation.costs import fit_router
from orchestrator.evaluation.methods.fallback import ask_down, fallback_note
from orchestrator.evaluation.methods.method import Answer, MethodOutcome, Setting
from orchestrator.evaluation.report.data import RankedExpert
from orchestrator.evaluation.voting import held_out_odds
from router.embedding import Features
from router.ranking import Ranking
from router.routers import DEFAULT, FittedRouter, PricedRouter
from router.table import Table

NAMES = {"neighbour": "nearest", "skill": "skills"}
"""Of the kinds of evidence, as a reader sees them."""
LISTED = 3


async def mixture(setting: Setting) -> list[MethodOutcome]:
    """The router picks `recruit` experts a question (one unless told otherwise); several vote by the log-odds of
    being right, fitted on the validation questions."""
    table, options = setting.fitted_on, setting.options
    embed = setting.context.embedder.features
    fitted, asked = await asyncio.to_thread(embed, table.questions), [q.question for q in setting.questions]

    def fit(part: Table, questions: Features) -> FittedRouter:
        return fit_router(options.router, part, questions, options.cost, setting.seed)

    router = await asyncio.to_thread(fit, table, fitted)
    rankings = router.rank(await asyncio.to_thread(embed, asked))
    recruit = options.recruit or 1
    odds = AT_THEIR_WORD
    if recruit > 1:
        odds = await asyncio.to_thread(held_out_odds, table, fitted, fit, recruit, setting.seed)
    asked_of = list(zip(setting.questions, rankings, strict=True))
    replies = await ask_down(setting, [(question, ranking.experts) for question, ranking in asked_of], recruit)
    answers = []
    for question, ranking in asked_of:
        used = replies[question.id]
        replied = [one for one in used if one.error is None]
        chances = [ranking.probability(one.expert) for one in replied]
        verdict = log_odds([one.reply.answer for one in replied], chances, odds, options=options_of(question))
        right = is_right(question, verdict.answer)
        answers.append(Answer(question, verdict.answer, right, used, ranked(ranking), verdict.share))
    used_experts = len({one.expert for used in replies.values() for one in used if one.error is None})
    by = "stacked routers" if options.router == DEFAULT else f"{options.router} router"
    note = f"{by}, {recruit} of {len(setting.experts)} experts a question; {used_experts} were used"
    if isinstance(router, PricedRouter):
        note += f"; quality {router.quality:.2f}"
    return [MethodOutcome("mixture", tuple(answers), note + fallback_note(replies))]


def ranked(ranking: Ranking) -> tuple[RankedExpert, ...]:
    """A ranking as reports show it; the first line says what it rests on."""
    return tuple(
        RankedExpert(expert=entry.expert, score=entry.probability, reason=_reason(ranking) if place == 0 else "")
        for place, entry in enumerate(ranking.entries)
    )


def _reason(ranking: Ranking) -> str:
    kinds: dict[str, list[str]] = {}
    for one in ranking.evidence:
        kinds.setdefault(one.kind, []).append(one.label)
    return "; ".join(f"{NAMES.get(kind, kind)}: {', '.join(labels[:LISTED])}" for kind, labels in kinds.items())
