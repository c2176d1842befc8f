"""Judging routers on recorded answers: what `collegium eval-router` reports.

Everything is fitted on one part of a table and judged on another. Votes come in as plain functions, because this
package knows no way to aggregate; recorded answers can be voted over, but nobody can be asked anything new.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from router.arena import RoutingMetrics, cost_matrix, metrics
from router.ballots import Aggregate, Ballots, Canonical, Replies, cast_votes
from router.calibration import expected_calibration_error
from router.candidates import RouterCandidate, judged
from router.cost import area_under_cost_curve, cost_curve
from router.estimate import Difference, Estimate, Resamples
from router.ranking import Scores
from router.recruiting import recruit
from router.row import Row
from router.trial import RoutingTrial

FitAggregate: TypeAlias = Callable[
    [Sequence[Row], Sequence[Replies], Sequence[Sequence[float]], Sequence[str | None]], Aggregate
]
"""(rows, answers, probabilities, gold answers) of validation questions -> an aggregate; may ignore them."""


@dataclass(frozen=True, slots=True)
class RouterResult:
    """One router with k recruited experts and one aggregator; means over questions and seeds."""

    router: str
    k: int
    aggregator: str
    """`first`: no vote, the best expert answers."""
    accuracy: Estimate
    over_best: Difference
    """Against the expert that was best on the fitted questions."""
    gap_closed: float
    """Of the way from that expert to the oracle, who always asks an expert that is right; NaN if there is none."""
    any_right: float
    """How often one of the recruited was right."""
    lost: Mapping[str, float]
    """Where the rest goes: `nobody` was right, `recruiting` missed who was, the `vote` went against them."""
    unique_experts: float
    cost: float | None


@dataclass(frozen=True, slots=True)
class RouterQuality:
    """How good a router's probabilities and first choices are, whatever is done with them."""

    router: str
    log_loss: float
    calibration_error: float
    ranking: float
    """How often a right expert stands before a wrong one on the same question (area under the curve)."""
    cost_area: float | None
    curve: tuple[tuple[float, float, float], ...] = ()
    """(quality knob, cost, accuracy of the first expert)."""


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """What a rule that asks by need made of one tested question."""

    setting: str
    id: str
    asked: tuple[str, ...]
    """Experts in the order in which they were asked."""
    answer: str | None
    score: float
    stopped: str
    """Why nobody else was asked."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All of one evaluation; `dataclasses.asdict` makes it JSON."""

    fitted_on: str
    tested_on: str
    fitted_questions: int
    questions: int
    experts: tuple[str, ...]
    seeds: int
    best_expert: str
    """On the fitted questions (the one most often best, where several parts were fitted)."""
    best: Estimate
    """Its accuracy on the tested ones."""
    hindsight: Estimate
    """Of the expert that is best on the tested questions themselves."""
    oracle: float
    results: tuple[RouterResult, ...]
    qualities: tuple[RouterQuality, ...]
    comparisons: Mapping[str, Difference]
    """`router/k/aggregator` -> the default's accuracy minus this one's, same k and aggregator."""
    notes: tuple[str, ...] = ()
    metrics: tuple[RoutingMetrics, ...] = ()
    """Of other benchmarks, for one expert per question."""
    decisions: tuple[RecordedDecision, ...] = ()
    """Of the mixture that asks by need, question by question."""


def evaluate(
    what: RoutingTrial,
    contestants: Sequence[RouterCandidate],
    aggregators: Mapping[str, FitAggregate],
    *,
    default: str,
    ks: Sequence[int] = (3, 5),
    seeds: int = 5,
    costs: Mapping[str, float] | None = None,
    canonical: Canonical = lambda row, answer: answer.strip() or None,
    report: Callable[[str], None] = lambda name: None,
) -> Evaluation:
    """Judge every contestant at every k with every aggregator, and against the one called `default`.

    Tables without predictions get `first` and `any_right` only. `canonical` makes equal answers equal texts;
    `report` receives the name of each contestant as its turn comes.
    """
    test = what.test
    ballots = Ballots(test, canonical)
    groups = test.questions
    best_columns = what.best_columns()
    best = ballots.filled[np.arange(len(groups)), best_columns]
    oracle = float(ballots.filled.max(1).mean())
    hindsight = int(np.argmax(np.nan_to_num(np.nanmean(test.correct, 0))))
    prices = None if costs is None else np.array([costs[name] for name in test.experts], np.float64)
    outcomes: dict[tuple[str, int, str], _Outcome] = {}
    qualities = []
    choices: dict[str, list[NDArray[np.intp]]] = {}
    seconds: dict[str, float] = {}
    voters = aggregators if ballots.recorded else {}
    fitted = test if what.fit is None else what.fit
    fitted_ballots = ballots if fitted is test or not voters else Ballots(fitted, canonical)
    ks = sorted({1, *ks})
    for contestant, trained in judged(what, contestants, seeds, bool(voters), report):
        runs = trained.runs
        seconds[contestant.name] = trained.seconds
        qualities.append(_quality(contestant.name, runs, test.correct, costs))
        for k in ks:
            seats = [recruit(run, k, contestant.how, seed=seed) for seed, run in enumerate(runs)]
            if k == 1:
                choices[contestant.name] = [seat[:, 0] for seat in seats]
                outcomes[contestant.name, 1, "first"] = _Outcome.of(seats, ballots, prices)
                continue
            if not voters:
                outcomes[contestant.name, k, "any right"] = _Outcome.of(seats, ballots, prices)
                continue
            cast = cast_votes(fitted_ballots, trained.held_out, k, contestant.how)
            for name, fit_aggregate in voters.items():
                vote = fit_aggregate(fitted.rows, *cast)
                values = [ballots.vote(seat, run.probabilities, vote) for seat, run in zip(seats, runs, strict=True)]
                outcomes[contestant.name, k, name] = _Outcome.of(seats, ballots, prices, values)
    drawn = Resamples(groups)
    accuracies = drawn.estimates([outcome.accuracy for outcome in outcomes.values()])
    over_best = drawn.differences([(outcome.accuracy, best) for outcome in outcomes.values()])
    results = [
        outcome.result(key, accuracy, gap, float(best.mean()), oracle)
        for (key, outcome), accuracy, gap in zip(outcomes.items(), accuracies, over_best, strict=True)
    ]
    rivals = {key: outcomes.get((default, *key[1:])) for key in outcomes if key[0] != default}
    against = {key: rival for key, rival in rivals.items() if rival is not None}
    leads = drawn.differences([(rival.accuracy, outcomes[key].accuracy) for key, rival in against.items()])
    comparisons = {"/".join(map(str, key)): lead for key, lead in zip(against, leads, strict=True)}
    best_estimate, hindsight_estimate = drawn.estimates([best, ballots.filled[:, hindsight]])
    names, counts = np.unique(best_columns, return_counts=True)
    return Evaluation(
        what.fitted_on,
        what.tested_on,
        len(fitted.rows),
        len(test.rows),
        test.experts,
        seeds,
        test.experts[int(names[counts.argmax()])],
        best_estimate,
        hindsight_estimate,
        oracle,
        tuple(results),
        tuple(qualities),
        comparisons,
        what.notes if ballots.recorded else (*what.notes, "no predictions are recorded: nothing was voted over"),
        metrics(test, choices, seconds, cost_matrix(test, costs)),
    )


@dataclass(frozen=True, slots=True)
class _Outcome:
    accuracy: NDArray[np.float64]
    """[questions], mean over seeds"""
    any_right: float
    unique: float
    cost: float | None

    @classmethod
    def of(
        cls,
        seats: Sequence[NDArray[np.intp]],
        ballots: Ballots,
        prices: NDArray[np.float64] | None,
        values: Sequence[NDArray[np.float64]] | None = None,
    ) -> _Outcome:
        right = [np.take_along_axis(ballots.filled, seat, 1).max(1) for seat in seats]
        ordered = [np.sort(seat, 1) for seat in seats]
        first = [np.diff(seat, axis=1, prepend=-1) > 0 for seat in ordered]
        paid = None if prices is None else [(prices[s] * once).sum(1) for s, once in zip(ordered, first, strict=True)]
        cost = None if paid is None else float(np.mean(paid))
        unique = float(np.mean([once.sum(1) for once in first]))
        return cls(np.mean(right if values is None else values, 0), float(np.mean(right)), unique, cost)

    def result(
        self, key: tuple[str, int, str], accuracy: Estimate, over_best: Difference, best: float, oracle: float
    ) -> RouterResult:
        mean, gap = float(self.accuracy.mean()), oracle - best
        lost = {"nobody": 1 - oracle, "recruiting": oracle - self.any_right, "vote": self.any_right - mean}
        closed = (mean - best) / gap if gap > 0 else float("nan")
        return RouterResult(*key, accuracy, over_best, closed, self.any_right, lost, self.unique, self.cost)


def _quality(
    name: str, runs: Sequence[Scores], correct: NDArray[np.float32], costs: Mapping[str, float] | None
) -> RouterQuality:
    known = ~np.isnan(correct)
    losses, errors, ranks = [], [], []
    for run in runs:
        p = np.clip(run.probabilities.astype(np.float64), 1e-3, 1 - 1e-3)
        cells = -(correct * np.log(p) + (1 - correct) * np.log(1 - p))
        losses.append(float(cells[known].mean()))
        errors.append(expected_calibration_error(run.probabilities, correct))
        ranks.append(_pairs_in_order(run.values, correct))
    curve = () if costs is None else cost_curve(runs[0], correct, costs)
    area = None if costs is None else area_under_cost_curve(curve, max(costs.values()))
    return RouterQuality(name, float(np.mean(losses)), float(np.mean(errors)), float(np.mean(ranks)), area, curve)


def _pairs_in_order(values: NDArray[np.float32], correct: NDArray[np.float32]) -> float:
    order, total = 0.0, 0.0
    for start in range(0, len(values), 512):
        score, value = correct[start : start + 512], values[start : start + 512]
        better = np.nan_to_num(score[:, :, None] * (1 - score[:, None, :]))
        gap = value[:, :, None] - value[:, None, :]
        order += float((better * ((gap > 0) + 0.5 * (gap == 0))).sum())
        total += float(better.sum())
    return order / total if total else float("nan")
