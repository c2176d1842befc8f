"""Mathematics beyond one number: one key for equal answers, another one for others."""

from __future__ import annotations

import pytest

from agents.answers.brackets import split_at
from agents.answers.expressions import expression, looks_mathematical, members


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("x = 1 or x = 2", "{1, 2}"),
        ("2 \\pm 1", "{1, 3}"),
        ("[1, 2)", "[1, 2)"),
        ("3 > x", "(-oo, 3)"),
        ("101_2", "101_2"),
        ("\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}", "[[1, 2], [3, 4]]"),
        ("\\text{Odd}", "odd"),
        ("x +", None),
    ],
)
def test_each_form_has_one_key(text: str, key: str | None) -> None:
    assert expression(text) == key


def test_a_set_has_no_order_and_a_list_has() -> None:
    assert expression("2, 1, 1", "set") == expression("{1, 2}", "set") == "{1, 2}"
    assert expression("2, 1", "list") == "[2, 1]"
    assert expression("1, 2", "list") != expression("2, 1", "list")


def test_parts_are_split_outside_of_brackets_and_numbers() -> None:
    assert split_at("(1,2),3,000", ",") == ["(1,2)", "3,000"]
    assert members("{1, 2}") == ["1", "2"]
    assert looks_mathematical("x+1")
    assert not looks_mathematical("the cat")


def test_pi_is_one_number_however_it_is_written() -> None:
    assert len({expression(text) for text in ("3π", "3\\pi", "3*pi", "$3 \\pi$", "π*3")}) == 1
    assert expression("3π") != expression("3")
