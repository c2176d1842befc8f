"""Separators count outside brackets, and a comma within a number separates nothing."""

from __future__ import annotations

from agents.answers.brackets import closing, enclosed, split_at, thousands


def test_parts_are_split_outside_brackets_and_numbers() -> None:
    assert split_at("(1, 2), [3; 4], 5", ",") == ["(1, 2)", " [3; 4]", " 5"]
    assert split_at("1,234, 5", ",") == ["1,234", " 5"]
    assert thousands("1,234", 1)
    assert not thousands("1,23", 1)


def test_a_bracket_finds_its_partner() -> None:
    assert closing("((a) b)", 0) == 6
    assert closing("(a", 0) == -1
    assert enclosed("[1, 2]")
    assert enclosed("\\{1\\}")
    assert not enclosed("[1], [2]")
