"""What the scheduler learns: costs of switches, seconds per request, patience."""

from __future__ import annotations

import pytest

from orchestrator.inference.schedule.measures import Patience, Rate, SwitchCosts


def test_a_switch_costs_the_median_of_its_last_seven_measurements() -> None:
    costs = SwitchCosts(swap=1.0, start=20.0)
    assert (costs.of("swap", "s"), costs.of("wake", "s"), costs.of("start", "s")) == (1.0, 1.0, 20.0)
    for seconds in (*[2.0] * 9, 100.0):
        costs.learn("swap", "s", seconds)
    assert costs.of("swap", "s") == 2.0
    assert costs.of("swap", "another") == 2.0  # guessed from other shapes
    assert costs.of("start", "s") == 20.0
    for _ in range(7):
        costs.learn("swap", "s", 5.0)
    assert costs.of("swap", "s") == 5.0


def test_what_was_expected_weighs_as_much_as_eight_requests() -> None:
    rate = Rate()
    assert rate.value(3.0) == 3.0
    rate.learn(8.0, 8)
    assert rate.value(3.0) == pytest.approx(2.0)
    for _ in range(200):
        rate.learn(50.0, 100)
    assert rate.value(3.0) == pytest.approx(0.5, rel=0.1)


def test_patience_halves_in_vain_never_below_a_sixteenth_and_comes_back() -> None:
    patience = Patience()
    for _ in range(10):
        patience.in_vain()
    assert patience.share == 1 / 16
    for _ in range(3):
        patience.rewarded()
    assert patience.share == 1 / 2
    for _ in range(3):
        patience.rewarded()
    assert patience.share == 1.0
