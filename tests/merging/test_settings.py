"""Settings: values, gradients and filters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from merging.settings import setting, value


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=6), st.floats(0, 1))
def test_a_gradient_stays_between_its_neighbours(values: list[float], depth: float) -> None:
    found = value(setting(values, "x"), "name", depth)
    assert isinstance(found, int | float)
    assert min(values) - 1e-9 <= found <= max(values) + 1e-9
