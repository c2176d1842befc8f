"""Recruiting: distinct best ones, or draws as in the paper and in its authors' program."""

from __future__ import annotations

import numpy as np
import pytest

from router import Scores
from router.recruiting import recruit


def scores(*rows: list[float]) -> Scores:
    values = np.array(rows, np.float32)
    return Scores(tuple("abcdefgh"[: values.shape[1]]), values, values)


def test_topk_is_distinct_and_best_first_and_ties_keep_the_order() -> None:
    assert recruit(scores([0.1, 0.9, 0.5], [0.2, 0.2, 0.2]), 2).tolist() == [[1, 2], [0, 1]]
    assert recruit(scores([0.1, 0.9]), 5).tolist() == [[1, 0]]


def test_paper_draws_from_a_softmax_at_half_temperature() -> None:
    drawn = recruit(scores(*[[0.0, 0.5, 1.0]] * 20_000), 3, "paper", seed=1)
    share = np.bincount(drawn.ravel(), minlength=3) / drawn.size
    weight = np.exp(np.array([0.0, 1.0, 2.0]))
    np.testing.assert_allclose(share, weight / weight.sum(), atol=0.01)
    assert max(len(set(row)) for row in drawn.tolist()) == 3
    assert min(len(set(row)) for row in drawn.tolist()) == 1


def test_code_draws_in_proportion() -> None:
    drawn = recruit(scores(*[[0.1, 0.3, 0.6]] * 20_000), 3, "code")
    share = np.bincount(drawn.ravel(), minlength=3) / drawn.size
    np.testing.assert_allclose(share, [0.1, 0.3, 0.6], atol=0.01)


def test_rare_experts_give_their_draws_to_frequent_ones() -> None:
    table = scores(*[[0.02, 0.49, 0.49]] * 5_000)
    kept = recruit(table, 3, "code", trim=0.05)
    assert set(kept.ravel().tolist()) == {1, 2}
    assert 0 in recruit(table, 3, "code")
    wanting_rare_only = scores(*[[0.0, 1.0, 0.0]] * 99, [1.0, 0.0, 0.0])
    assert set(recruit(wanting_rare_only, 3, "code", trim=0.05)[-1].tolist()) == {1}


def test_equal_seeds_draw_alike() -> None:
    table = scores(*[[0.3, 0.3, 0.4]] * 50)
    np.testing.assert_array_equal(recruit(table, 3, "paper", seed=5), recruit(table, 3, "paper", seed=5))
    assert (recruit(table, 3, "paper", seed=5) != recruit(table, 3, "paper", seed=6)).any()


def test_all_scores_zero_or_negative_still_recruit() -> None:
    for how in ("code", "paper"):
        drawn = recruit(scores([0.0, 0.0, 0.0], [-1.0, -2.0, -3.0]), 3, how)
        assert drawn.shape == (2, 3)
        assert ((drawn >= 0) & (drawn < 3)).all()


def test_senseless_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="k must be at least 1"):
        recruit(scores([1.0]), 0)
    with pytest.raises(ValueError, match="recruiting must be one of topk, paper, code"):
        recruit(scores([1.0]), 1, "best")
