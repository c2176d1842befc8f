"""Metrics of other benchmarks, on numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from router import Row, Table
from router.arena import arena_score, cost_matrix, metrics


def table() -> Table:
    """Four questions; b is dear and right where it matters."""
    scores = [(1, 1), (0, 1), (0, 0), (1, 0)]
    extra = [{}, {}, {}, {"rephrases": "0"}]
    return Table.from_rows(
        Row(str(n), f"{n}?", {"a": float(a), "b": float(b)}, extra={"cost": {"a": 0.001, "b": 0.004}, **more})
        for n, ((a, b), more) in enumerate(zip(scores, extra, strict=True))
    )


def test_metrics_by_hand() -> None:
    costs = cost_matrix(table(), {"a": 1.0, "b": 1.0})
    assert costs is not None
    assert costs[0].tolist() == [0.001, 0.004]  # the rows' own, not the means
    asked = {"mine": [np.array([1, 1, 0, 0])], "cheap": [np.array([0, 0, 0, 0])]}
    mine, cheap = metrics(table(), asked, {"mine": 0.002}, costs)
    assert (mine.accuracy, cheap.accuracy) == (0.75, 0.5)
    assert mine.gain_over_best == pytest.approx(0.75 / 0.5 - 1)
    assert (mine.gap_to_oracle, cheap.gap_to_oracle) == (0, pytest.approx(1 / 3))
    assert mine.cost_per_1000 == pytest.approx(2.5)
    assert mine.arena == pytest.approx(arena_score(2.5, 0.75))
    # Of three questions that somebody gets right: question 0 was asked of the dear one.
    assert (mine.optimal_selection, mine.optimal_accuracy) == (pytest.approx(2 / 3), 1)
    assert mine.optimal_cost == pytest.approx((1 + 4 + 1) / (4 + 4 + 1))
    assert (mine.robustness, cheap.robustness) == (0, 1)  # question 3 rephrases question 0
    assert mine.pareto_distance == 0
    assert mine.milliseconds == 2
    assert metrics(table(), asked, {}, None)[0].arena is None


def test_the_arena_score_of_its_paper() -> None:
    with pytest.raises(ValueError, match="cost above 0"):
        arena_score(0.0, 1.0)
    assert arena_score(0.0044, 1.0) == pytest.approx(1)
    assert arena_score(200, 0.9) == arena_score(1e9, 0.9) == 0
    cheapness = (np.log2(200) - np.log2(1.0)) / (np.log2(200) - np.log2(0.0044))
    assert arena_score(1.0, 0.6) == pytest.approx(1.1 * 0.6 * cheapness / (0.1 * 0.6 + cheapness))
