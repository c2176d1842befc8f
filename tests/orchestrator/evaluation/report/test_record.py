from __future__ import annotations

import pytest
from pydantic import ValidationError

from orchestrator.evaluation.report.record import Interval, MetricFigure


def test_an_interval_is_in_order() -> None:
    with pytest.raises(ValidationError, match="low must not pass high"):
        Interval(value=0.5, low=0.6, high=0.4, n=1)


@pytest.mark.parametrize(
    ("bounds", "message"), [({"low": 0.1}, "two bounds"), ({"low": 0.6, "high": 0.4}, "low must not pass high")]
)
def test_a_metrics_bounds_are_two_and_in_order(bounds: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        MetricFigure(name="m", value=0.5, n=3, **bounds)
    with pytest.raises(ValidationError):
        MetricFigure(name="m", value=float("nan"), n=3)
