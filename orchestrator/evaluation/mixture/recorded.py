"""The mixture on recorded answers: the same decisions as on live ones, because the same coroutine decides."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import numpy as np

from agents.votes import Verdict
from orchestrator.evaluation.mixture.deciding import AskExpert, Decision, MixtureReply, RecruitTarget, decide
from orchestrator.evaluation.mixture.fit import fit_features
from orchestrator.evaluation.mixture.fitted import FittedMixture
from orchestrator.evaluation.mixture.options import FittingOptions
from orchestrator.evaluation.voting import options_in, recorded_answer
from router.crossfit import folds
from router.embedding import Features
from router.estimate import Resamples
from router.evaluate import RecordedDecision, RouterResult
from router.ranking import Ranking
from router.row import Row
from router.table import Table
from router.trial import FOLDS, RoutingTrial

CORRELATED = "log-odds correlated"
"""The mixture's own vote, as an aggregator."""


def recorded_results(
    what: RoutingTrial, targets: Mapping[tuple[int, str], RecruitTarget], costs: Mapping[str, float] | None
) -> tuple[tuple[RouterResult, ...], tuple[RecordedDecision, ...]]:
    """What the mixture, fitted as it is served, makes of the tested questions: one result per target, named by (k,
    aggregator), and each question's decision where experts are asked by need."""
    table, names = what.test, list(targets)
    decided = recorded_decisions(what, list(targets.values()))
    right = [np.array([score_of(row, one) for row, one in zip(table.rows, part, strict=True)]) for part in decided]
    filled = np.nan_to_num(table.correct).astype(np.float64)
    best, oracle = filled[np.arange(len(filled)), what.best_columns()], float(filled.max(1).mean())
    drawn = Resamples(table.questions)
    accuracies = drawn.estimates(right)
    over_best = drawn.differences([(one, best) for one in right])
    results, decisions = [], []
    for place, (k, aggregator) in enumerate(names):
        asked = decided[place]
        columns = [[table.experts.index(name) for name in one.asked] for one in asked]
        any_right = float(np.mean([filled[row, seats].max() for row, seats in enumerate(columns)]))
        mean, gap = float(right[place].mean()), oracle - float(best.mean())
        results.append(
            RouterResult(
                "mixture",
                k,
                aggregator,
                accuracies[place],
                over_best[place],
                (mean - float(best.mean())) / gap if gap > 0 else float("nan"),
                any_right,
                {"nobody": 1 - oracle, "recruiting": oracle - any_right, "vote": any_right - mean},
                float(np.mean([len(one.asked) for one in asked])),
                None if costs is None else float(np.mean([sum(costs[name] for name in one.asked) for one in asked])),
            )
        )
        if targets[k, aggregator].by_need:
            decisions += [
                RecordedDecision(aggregator, row.id, one.asked, one.verdict.answer, float(score), one.stopped)
                for row, one, score in zip(table.rows, asked, right[place], strict=True)
            ]
    return tuple(results), tuple(decisions)


def recorded_decisions(what: RoutingTrial, targets: Sequence[RecruitTarget]) -> list[list[Decision]]:
    """For each target one decision per tested question, by a mixture that was not fitted on it."""
    found: list[list[Decision | None]] = [[None] * len(what.test.rows) for _ in targets]
    if what.fit is not None and what.fit_features is not None:
        everything = np.arange(len(what.test.rows))
        parts = [(what.fit, what.fit_features, everything)]
    else:
        fold = folds(what.test, max(2, min(FOLDS, len(set(what.test.questions)))))
        parts = []
        for number in np.unique(fold):
            outside = np.flatnonzero(fold != number)
            parts.append((what.test.take(outside), what.test_features.take(outside), np.flatnonzero(fold == number)))
    for fit, features, rows in parts:
        mixture = fit_features(fit, features, FittingOptions(), "")
        made = decisions_of(mixture, what.test.take(rows), what.test_features.take(rows), targets)
        for whole, part in zip(found, made, strict=True):
            for row, one in zip(rows.tolist(), part, strict=True):
                whole[row] = one
    return [[one for one in whole if one is not None] for whole in found]


def decisions_of(
    mixture: FittedMixture, table: Table, features: Features, targets: Sequence[RecruitTarget]
) -> list[list[Decision]]:
    """For each target one decision per question of the table. Runs a loop of its own."""
    return decisions_by(mixture, mixture.rank(features), table, targets)


def decisions_by(
    mixture: FittedMixture, rankings: Sequence[Ranking], table: Table, targets: Sequence[RecruitTarget]
) -> list[list[Decision]]:
    """The same by rankings that are there already, one per question: those of routers that had not seen it."""

    async def every() -> list[list[Decision]]:
        return [
            [
                await decide(mixture, ranking, _recorded(row), target, options=options_in(row))
                for row, ranking in zip(table.rows, rankings, strict=True)
            ]
            for target in targets
        ]

    return asyncio.run(every())


def _recorded(row: Row) -> AskExpert:
    async def ask(name: str) -> MixtureReply:
        given = row.predictions.get(name)
        return MixtureReply(None if given is None else recorded_answer(row, given), name not in row.predictions)

    return ask


def score_of(row: Row, decision: Decision) -> float:
    """What the decision's answer scores: the mean score of the experts who gave it; 0 without an answer."""
    verdict: Verdict = decision.verdict
    if not verdict.groups:
        return 0.0
    gave = [decision.replied[voter] for voter in verdict.groups[0].voters]
    known = [row.correct[name] for name in gave if name in row.correct]
    return float(np.mean(known)) if known else 0.0


def targets_of(ks: Sequence[int], calls: Sequence[float]) -> Mapping[tuple[int, str], RecruitTarget]:
    """Always k experts, and by need so many on average, by (k, aggregator)."""
    fixed = {(k, CORRELATED): RecruitTarget(k) for k in ks if k > 1}
    return fixed | {(max(1, round(one)), f"by need, {one:g} calls"): RecruitTarget(calls=one) for one in calls}
