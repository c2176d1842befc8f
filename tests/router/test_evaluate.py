"""Evaluation: parts that never overlap, numbers checked by hand, tables of every kind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial

import numpy as np
import pytest

from agents.votes import fit_log_odds, log_odds_matrix
from router import Features, Row, Table
from router.ballots import Aggregate, Replies
from router.candidates import RouterCandidate
from router.evaluate import Evaluation, RouterResult, evaluate
from router.routers import maker
from router.trial import trial

World = tuple[Table, Features]


def counting(
    rows: Sequence[Row], answers: Sequence[Replies], chances: Sequence[Sequence[float]], golds: Replies
) -> Aggregate:
    return lambda rows, p: np.ones_like(p)


def fitted_odds(
    rows: Sequence[Row], answers: Sequence[Replies], chances: Sequence[Sequence[float]], golds: Replies
) -> Aggregate:
    odds = fit_log_odds(answers, chances, golds, 4)
    return lambda rows, p: log_odds_matrix(p, np.full(len(p), 4.0), odds)


VOTES = {"majority": counting, "log-odds": fitted_odds}
SOME = [RouterCandidate(name, partial(maker, name)) for name in ("best", "random", "knn")]


def run(table: Table, questions: Features, **options: object) -> Evaluation:
    what = options.pop("what", None) or trial(table, questions)
    return evaluate(what, SOME, VOTES, **({"default": "knn", "ks": (3,), "seeds": 2} | options))  # type: ignore[arg-type]


def find(report: Evaluation, router: str, k: int, aggregator: str) -> RouterResult:
    return next(r for r in report.results if (r.router, r.k, r.aggregator) == (router, k, aggregator))


def test_the_whole_story_on_a_small_world(fitted: World, unseen: World) -> None:
    report = run(*unseen, what=trial(*unseen, fit=fitted))
    assert (report.questions, report.fitted_questions, report.fitted_on) == (400, 300, "another table")
    first = find(report, "knn", 1, "first")
    assert first.accuracy.value > 0.85
    assert first.accuracy.low < first.accuracy.value < first.accuracy.high
    assert first.over_best.low > 0.3
    assert first.over_best.p < 1e-6
    assert find(report, "best", 1, "first").over_best.value == 0
    assert find(report, "best", 1, "first").over_best.p == 1
    assert report.best.value <= report.hindsight.value < report.oracle <= 1
    assert report.comparisons["best/1/first"].value == pytest.approx(first.accuracy.value - report.best.value)
    assert find(report, "knn", 3, "log-odds").accuracy.value > find(report, "knn", 3, "majority").accuracy.value
    for result in report.results:
        assert sum(result.lost.values()) + result.accuracy.value == pytest.approx(1)
        assert result.unique_experts == result.k
    knn = next(quality for quality in report.qualities if quality.router == "knn")
    assert knn.ranking > 0.75
    assert 0 < knn.calibration_error < 0.15
    json.dumps(asdict(report))


def test_votes_are_scored_by_what_the_answer_is_worth() -> None:
    """Three experts: two agree on an answer worth .25, one gives one worth 1; abstentions and unknown scores."""
    rows = [
        Row("0", "q0", {"a": 0.25, "b": 0.25, "c": 1.0}, predictions={"a": " x", "b": "x ", "c": "y"}),
        Row("1", "q1", {"a": 0.0, "b": 0.0, "c": 1.0}, predictions={"a": None, "b": None, "c": "y"}),
        Row("2", "q2", {"a": 1.0, "b": 0.0}, predictions={"a": "x", "b": "y", "c": "y"}),
        Row("3", "q3", {"a": 1.0, "b": 0.0, "c": 0.0}, predictions={"a": "x", "b": "y"}),
    ]
    table, questions = Table.from_rows(rows), Features(np.eye(4, dtype=np.float32))
    report = evaluate(trial(table, questions), SOME[:1], {"majority": counting}, default="best", ks=(3,), seeds=1)
    # x twice: .25; y alone: 1; y twice: 0; a tie, x or y: half of 1.
    assert find(report, "best", 3, "majority").accuracy.value == pytest.approx((0.25 + 1 + 0 + 0.5) / 4)
    assert report.oracle == 1


def test_tables_without_predictions_get_first_and_any_right(unseen: World) -> None:
    bare = Table(tuple(replace(row, predictions={}, answer=None) for row in unseen[0].rows), unseen[0].experts)
    report = run(bare, unseen[1])
    assert {(r.k, r.aggregator) for r in report.results} == {(1, "first"), (3, "any right")}
    knn = find(report, "knn", 3, "any right")
    assert knn.accuracy.value == pytest.approx(knn.any_right)
    assert "no predictions" in report.notes[-1]


def test_costs_are_of_the_experts_asked(unseen: World) -> None:
    costs = dict.fromkeys(reversed(unseen[0].experts), 1.0) | {"amateur": 0.0}
    report = run(*unseen, costs=costs)
    assert find(report, "knn", 3, "majority").cost is not None
    assert 2 <= (find(report, "knn", 3, "majority").cost or 0) <= 3
    best = next(quality for quality in report.qualities if quality.router == "knn")
    assert best.curve[0][1] == 0
    assert 0 < (best.cost_area or 0) < 1
