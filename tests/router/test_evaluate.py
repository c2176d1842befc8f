"""Evaluation: parts that never overlap, numbers checked by hand, tables of every kind."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial

import numpy as np
import pytest

from agents.votes import fit_log_odds, log_odds_matrix
from router import Features, Row, Table, TableError
from router.ballots import Aggregate, Ballots, Replies
from router.candidates import RouterCandidate
from router.crossfit import folds, out_of_fold
from router.estimate import Resamples, difference, estimate
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


def split_world(world: World, names: Mapping[str, range]) -> World:
    rows = list(world[0].rows)
    for name, indices in names.items():
        for index in indices:
            rows[index] = replace(rows[index], split=name)
    return Table(tuple(rows), world[0].experts), world[1]


def test_parts_by_name_by_default_by_table_and_by_folds(fitted: World, unseen: World) -> None:
    named = split_world(unseen, {"train": range(100), "test": range(100, 150), "dev": range(150, 400)})
    what = trial(*named)
    assert (what.fitted_on, what.tested_on) == ("split train", "split test")
    assert what.fit is not None
    assert (len(what.fit.rows), len(what.test.rows)) == (100, 50)
    what = trial(*named, train_split="dev", test_split="train")
    assert what.fit is not None
    assert (len(what.fit.rows), len(what.test.rows)) == (250, 100)
    what = trial(*named, test_split="test")
    assert what.fit is not None
    assert (len(what.fit.rows), what.fitted_on) == (350, "all but split test")
    assert trial(*unseen).fit is None
    with pytest.raises(TableError, match="there is no 'val'"):
        trial(*named, train_split="val", test_split="dev")
    with pytest.raises(TableError, match="'botanist' is unknown"):
        trial(*unseen, fit=(fitted[0].select_experts(["algebraist"]), fitted[1]))


def test_what_is_tested_or_repeated_is_never_fitted(fitted: World, unseen: World) -> None:
    rows = list(fitted[0].rows)
    rows[0] = replace(rows[0], question=unseen[0].rows[5].question)
    rows[1] = replace(rows[1], extra={"repeat": True})
    what = trial(*unseen, fit=(Table(tuple(rows), fitted[0].experts), fitted[1]))
    assert what.fit is not None
    assert what.fit_features is not None
    overlap = set(what.fit.questions) & set(unseen[0].questions)
    assert not overlap
    assert len(what.fit.rows) == len(what.fit_features) < 299
    assert "were not fitted" in what.notes[0]


def test_folds_keep_equal_questions_together_and_differ_by_seed(unseen: World) -> None:
    rows = [replace(row, question=f"question {index % 40}") for index, row in enumerate(unseen[0].rows)]
    table = Table(tuple(rows), unseen[0].experts)
    fold = folds(table, 5)
    for text in set(table.questions):
        assert len({int(f) for f, question in zip(fold, table.questions, strict=True) if question == text}) == 1
    assert np.bincount(fold).tolist() == [80] * 5
    assert (folds(table, 5, 1) != fold).any()
    with pytest.raises(ValueError, match="41 folds need 2 to 40"):
        folds(table, 41)


def test_out_of_fold_scores_never_see_their_question(fitted: World) -> None:
    """A one-neighbour router would recite a question that it had been fitted on."""
    from router.routers import KnnRouter

    recite = partial(KnnRouter.fit, neighbours=1, shrinkage=0.0)
    rng = np.random.default_rng(0)
    noise = Table.from_rows(
        [
            replace(row, correct={"a": float(rng.random() < 0.5)})
            for row in [replace(row, predictions={}) for row in fitted[0].rows]
        ]
    )
    held_out = out_of_fold(recite, noise, fitted[1], folds(noise, 5)).probabilities
    assert float(((held_out > 0.5) == (noise.correct > 0.5)).mean()) < 0.62
    assert float(((recite(noise, fitted[1]).score(fitted[1]).values > 0.5) == (noise.correct > 0.5)).mean()) == 1


def test_intervals_cover_and_groups_widen_them() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(60):
        sample = (rng.random(150) < 0.3).astype(float)
        found = estimate(sample, [str(i) for i in range(150)])
        covered += found.low <= 0.3 <= found.high
    assert covered >= 51
    single = (rng.random(100) < 0.5).astype(float)
    alone = estimate(single, [str(i) for i in range(100)])
    repeated = estimate(np.repeat(single, 4), [str(i // 4) for i in range(400)])
    naive = estimate(np.repeat(single, 4), [str(i) for i in range(400)])
    assert repeated.high - repeated.low == pytest.approx(alone.high - alone.low, rel=0.1)
    assert naive.high - naive.low < 0.7 * (repeated.high - repeated.low)


def test_paired_difference_sees_what_intervals_cannot() -> None:
    rng = np.random.default_rng(1)
    hard = rng.random(400)
    a, b = (hard < 0.55).astype(float), (hard < 0.5).astype(float)
    groups = [str(i) for i in range(400)]
    found = difference(a, b, groups)
    assert found.value == pytest.approx(float(a.mean() - b.mean()))
    assert found.low > 0
    assert found.p < 1e-4
    assert difference(a, a, groups) == type(found)(0.0, 0.0, 0.0, 1.0)
    null = [difference(*(rng.random((2, 400)) < 0.5).astype(float), groups).p for _ in range(60)]
    assert float(np.mean(np.array(null) < 0.05)) < 0.15
    assert 0.35 < float(np.mean(null)) < 0.65


def test_many_intervals_are_those_of_scipys_bootstrap_one_by_one() -> None:
    from scipy.stats import bootstrap

    rng = np.random.default_rng(3)
    groups = [str(number // 2 if number < 20 else number) for number in range(120)]
    columns = [rng.random(120), (rng.random(120) < 0.3).astype(float), np.ones(120)]
    drawn = Resamples(groups)
    sums, sizes = drawn.sums(columns[0]), drawn.sums(np.ones(120))
    found = bootstrap(
        (sums, sizes),
        lambda total, count, axis: total.sum(axis) / count.sum(axis),
        paired=True,
        n_resamples=2_000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert drawn.intervals(columns)[0] == pytest.approx((found.low, found.high))
    assert drawn.intervals(columns)[1:] == [drawn.intervals([columns[1]])[0], (1.0, 1.0)]


def test_answers_that_tie_share_the_score() -> None:
    rows = [Row("1", "a?", {"x": 1.0, "y": 0.0, "z": 0.0}, predictions={"x": "A", "y": "B", "z": None}, answer="A")]
    ballots = Ballots(Table.from_rows(rows), lambda row, answer: answer)
    seats, p = np.array([[0, 1, 2]]), np.array([[0.3, 0.3, 0.9]], np.float32)
    assert ballots.vote(seats, p, lambda rows, p: np.ones_like(p)).tolist() == [0.5]
    assert ballots.vote(seats, p, lambda rows, p: p).tolist() == [0.5]
    p = np.array([[0.4, 0.3, 0.9]], np.float32)
    assert ballots.vote(seats, p, lambda rows, p: p).tolist() == [1.0]
