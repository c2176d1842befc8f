"""Whom a mixture needs: whoever gains on questions that nobody was fitted on, and nobody who adds nothing."""

from __future__ import annotations

import numpy as np

from orchestrator.pipelines.members import MemberEstimate


def estimate() -> MemberEstimate:
    """a and b know one half each; c knows what a knows, a little less of it; d misleads the router."""
    half = np.repeat([1.0, 0.0], 50)
    correct = np.stack([half, 1 - half, half * (np.arange(100) % 10 > 0), np.zeros(100)], 1).astype(np.float32)
    expected = correct.copy()
    expected[:, 2] *= 0.9
    expected[:, 3] = 2.0  # a router that always picks d, if it may
    return MemberEstimate(("a", "b", "c", "d"), expected, correct)


def test_the_router_picks_among_those_that_are_there() -> None:
    one = estimate()
    assert (one.accuracy(["a"]), one.accuracy(["a", "b"]), one.accuracy(["a", "c"])) == (0.5, 1.0, 0.5)
    assert one.accuracy(["a", "b", "d"]) == 0.0


def test_whoever_gains_is_added_and_whoever_adds_nothing_is_left_out() -> None:
    assert estimate().members(0.01) == ("a", "b")
    assert estimate().members(0.6) == ("a",)  # nobody gains that much


def test_the_best_alone_is_left_out_once_others_know_all_that_it_knew() -> None:
    correct = np.zeros((100, 3), np.float32)
    correct[:50, 0] = correct[50:, 1] = correct[20:80, 2] = 1  # c is best alone; a and b together know everything
    assert MemberEstimate(("a", "b", "c"), correct, correct).members(0.01) == ("a", "b")


def test_of_equal_gains_the_better_one_alone_is_taken() -> None:
    correct = np.zeros((10, 3), np.float32)
    correct[:6, 0] = 1
    correct[6:8, 1] = correct[5:8, 2] = 1  # both add two questions; c is right on three alone
    assert MemberEstimate(("a", "b", "c"), correct, correct).members(0.01) == ("a", "c")
