"""One knob between quality and cost, a threshold for two experts, and the area under the curve."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import Features, Scores, Table
from router.cost import CostAware, area_under_cost_curve, cost_curve, quality_for
from router.routers import KnnRouter


def scores(*rows: list[float]) -> Scores:
    values = np.array(rows, np.float32)
    return Scores(("cheap", "dear")[: values.shape[1]], values, values)


COSTS = {"cheap": 1.0, "dear": 10.0}


def test_the_ends_of_the_knob_are_pure() -> None:
    table = scores([0.3, 0.9], [0.6, 0.5])
    pick = lambda quality: CostAware.of(table.experts, COSTS, quality)(table).order()[:, 0].tolist()  # noqa: E731
    assert pick(1.0) == [1, 0]
    assert pick(0.0) == [0, 0]
    assert pick(0.5) == [0, 0]
    assert pick(0.7) == [1, 0]


def test_what_was_taken_off_is_named() -> None:
    table = CostAware.of(("cheap", "dear"), COSTS, 0.8)(scores([0.5, 0.5]))
    np.testing.assert_allclose(table.terms["cost"], [-0.025, -0.25], rtol=1e-5)


@given(st.integers(0, 10))
def test_between_two_the_share_asked_for_goes_to_the_dear_one_and_never_more(tenths: int) -> None:
    rng = np.random.default_rng(0)
    table = scores(*rng.random((200, 2)).round(2).tolist())
    target = COSTS["cheap"] + tenths / 10 * (COSTS["dear"] - COSTS["cheap"])
    quality = quality_for(table, COSTS, target)
    chosen = CostAware.of(table.experts, COSTS, quality)(table).order()[:, 0]
    share = float((chosen == 1).mean())
    advantage = table.values[:, 1] - table.values[:, 0]
    # Nobody asks the dear expert where it is the worse one, however much may be spent.
    assert share <= tenths / 10 + 1e-9
    assert share > min(tenths / 10, float((advantage > 0).mean())) - 0.03
    if 0 < share < 1:
        assert advantage[chosen == 1].min() > advantage[chosen == 0].max() - 1e-6


def test_more_money_never_buys_less() -> None:
    rng = np.random.default_rng(1)
    values = rng.random((300, 5)).astype(np.float32)
    table = Scores(tuple("abcde"), values, values)
    costs = dict(zip("abcde", [1.0, 2.0, 2.0, 5.0, 9.0], strict=True))
    qualities = [quality_for(table, costs, target) for target in (1.0, 1.5, 2.5, 4.0, 9.0)]
    assert qualities == sorted(qualities)
    assert qualities[-1] == 1.0


def test_curve_and_area(fitted: tuple[Table, Features], unseen: tuple[Table, Features]) -> None:
    costs = {"algebraist": 3.0, "botanist": 3.0, "grandmaster": 3.0, "amateur": 1.0}
    table, questions = unseen
    curve = cost_curve(KnnRouter.fit(*fitted).score(questions), table.correct, costs)
    assert curve[0][1] == 1.0
    assert curve[0][2] == pytest.approx(float(table.correct[:, 3].mean()))
    assert curve[-1][2] > 0.85
    assert 0.4 < area_under_cost_curve(curve, 3.0) < 0.9


def test_area_by_hand() -> None:
    points = [(0.0, 1.0, 0.5), (0.5, 2.0, 0.4), (1.0, 2.0, 1.0)]
    # From (0, 0) over (1, .5) straight to (2, 1).
    assert area_under_cost_curve(points, 2.0) == pytest.approx(0.5)
    assert area_under_cost_curve([(1.0, 0.0, 0.7)], 5.0) == pytest.approx(0.7)
    # The middle point lies under the line between its neighbours and is left out.
    bent = [(0.0, 0.0, 0.2), (0.5, 1.0, 0.3), (1.0, 2.0, 1.0)]
    assert area_under_cost_curve(bent, 2.0) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CostAware.of(("a",), {}, 1.0), "'a' has no cost"),
        (lambda: CostAware.of(("a",), {"a": -1.0}, 1.0), "cost of 'a' must be finite"),
        (lambda: CostAware.of(("a",), {"a": 1.0}, 1.5), "quality must be from 0 to 1"),
        (lambda: quality_for(scores([0.1, 0.2]), COSTS, 0.5), "the cheapest costs 1"),
        (lambda: area_under_cost_curve([], 0.0), "cost is above 0"),
    ],
)
def test_senseless_input_is_refused(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]
