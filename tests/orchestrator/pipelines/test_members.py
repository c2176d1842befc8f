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


def test_of_equals_the_better_one_alone_is_taken() -> None:
    correct = np.array([[1, 1, 0], [0, 1, 1], [1, 1, 1], [0, 0, 0]], np.float32)
    one = MemberEstimate(("a", "b", "c"), correct, correct)
    assert one.members(0.01) == ("b",)
