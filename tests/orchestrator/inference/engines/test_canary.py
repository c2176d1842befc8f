"""The canary: equal weights pass within rounding, other weights are named with the token and the difference."""

from __future__ import annotations

import math

import pytest

from orchestrator.inference.engines.canary import OTHER_ENGINE, SAME_ENGINE, Canary, difference

RECORDED: Canary = [[(5, -0.1), (7, -2.5), (9, -4.0)], [(7, -0.2), (5, -2.0), (9, -3.0)]]


def moved(by: float, position: int = 0) -> Canary:
    """The recorded canary with one position's log-probabilities moved."""
    return [[(token, chance + by * (place == position)) for token, chance in row] for place, row in enumerate(RECORDED)]


def test_rounding_within_one_engine_passes() -> None:
    assert difference(RECORDED, RECORDED) is None
    assert difference(RECORDED, moved(SAME_ENGINE / 2)) is None


@pytest.mark.parametrize("position", [0, 1])
def test_log_probabilities_beyond_the_tolerance_are_other_weights(position: int) -> None:
    found = difference(RECORDED, moved(-2 * SAME_ENGINE, position))
    assert found == f"token {position}: log-probabilities differ by {2 * SAME_ENGINE:.3f}, more than {SAME_ENGINE}"


def test_between_engines_the_tolerance_is_wider_and_still_there() -> None:
    assert difference(RECORDED, moved(OTHER_ENGINE / 2), OTHER_ENGINE) is None
    assert difference(RECORDED, moved(2 * OTHER_ENGINE), OTHER_ENGINE)


def test_other_likely_tokens_are_other_weights() -> None:
    assert difference(RECORDED, [[(1, -0.1), (2, -2.5), (3, -4.0)], RECORDED[1]]) == "token 0: other tokens are likely"


def test_after_a_tie_the_rest_is_not_compared() -> None:
    tie: Canary = [[(5, -0.70), (7, -0.71)], [(1, -0.1), (2, -3.0)]]
    fell: Canary = [[(7, -0.70), (5, -0.71)], [(8, -0.1), (9, -3.0)]]
    assert difference(tie, fell) is None


@pytest.mark.parametrize("row", [[], [(5, math.nan)], [(5, -math.inf), (7, -2.5)]])
def test_probabilities_that_are_not_finite_are_named(row: list[tuple[int, float]]) -> None:
    assert difference(RECORDED, [row, RECORDED[1]]) == "no finite log-probabilities for token 0"
