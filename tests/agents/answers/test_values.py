"""One key for all ways to write a term, within bounds."""

import time

import pytest

from agents import answers
from agents.answers.terms import read_term
from agents.answers.values import key_of


def test_a_huge_exponent_is_no_trap() -> None:
    started = time.thread_time()
    assert answers.canonical("1e999999999", "number") is None
    assert answers.canonical("9^{9^{9}}", "expression") is None
    assert time.thread_time() - started < 1.0


def key_of_term(text: str) -> str | None:
    tree = read_term(text)
    assert tree is not None
    return key_of(tree)


@pytest.mark.parametrize(
    ("one", "other"), [("(x+1)^2", "x^2 + 2x + 1"), ("1/2", "0.5"), ("sqrt(8)", "2 sqrt(2)"), ("\\pi r^2", "r^2 * pi")]
)
def test_all_ways_to_write_a_term_have_one_key(one: str, other: str) -> None:
    assert key_of_term(one) == key_of_term(other) is not None


def test_other_values_have_other_keys_and_a_bound_none() -> None:
    assert key_of_term("x + 1") != key_of_term("x + 2")
    assert key_of_term("1/0") is None
    assert key_of_term("2^{100000}") is None
