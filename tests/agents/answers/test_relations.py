"""Comparisons: one symbol beside numbers is an interval, everything else keeps both its sides."""

from __future__ import annotations

import pytest

from agents.answers.expressions import expression
from agents.answers.relations import is_relation, relation


@pytest.mark.parametrize(
    ("texts", "key"),
    [
        (("x > 3", "3 < x", "x \\gt 3"), "(3, oo)"),
        (("x \\le -2", "-2 >= x"), "(-oo, -2]"),
        (("1 < x \\leq 2", "2 >= x > 1"), "(1, 2]"),
        (("x + y > 3", "3 < y + x"), "3 < x + y"),
        (("x \\ne 3", "3 != x"), "3 != x"),
    ],
)
def test_equal_comparisons_have_one_key(texts: tuple[str, ...], key: str) -> None:
    assert {relation(text) for text in texts} == {key}
    assert expression(key) == key


def test_a_bound_and_its_side_count() -> None:
    keys = [relation(text) for text in ("x > 3", "x >= 3", "x < 3", "x <= 3", "1 < x < 3", "x \\ne 3")]
    assert None not in keys
    assert len(set(keys)) == len(keys)


def test_what_cannot_be_read_is_none() -> None:
    assert relation("x > ") is None
    assert relation("1 < x < 2 < y < 5") is None
    assert not is_relation("x = 3")
