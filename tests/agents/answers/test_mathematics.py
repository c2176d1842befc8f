"""Mathematics within words: taken out only where the words are known to say nothing."""

from __future__ import annotations

import pytest

from agents.answers.mathematics import concluded, items, mathematics


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("the slope is -2", "-2"),
        ("The final answer is $\\frac{14}{3}$. I hope it is correct.", "14/3"),
        ("k + 1 (for k ≥ 1)", "k + 1"),
        ("k + 1, where k is an integer", "k + 1"),
        ("5\\sqrt{2} \\text{ cm}", "7.071067812…"),
        ("\\lim_{x\\to 0} \\frac{\\sin 2x}{x} = 2", "2"),
        ("2a", "2*a"),
        ("2abc", None),
        ("a function that cannot be simplified", None),
        ("either x or y", None),
        ("x^2 +", None),
    ],
)
def test_an_expression_is_read_wholly_or_not_at_all(text: str, key: str | None) -> None:
    assert mathematics(text, "expression") == key


@pytest.mark.parametrize(
    ("text", "kind", "key"),
    [
        ("The roots are x = 1 and x = 4.", "set", "{1, 4}"),
        ("The sorted list is [3, 1, 2].", "list", "[3, 1, 2]"),
        ("Sorted list: apple, banana", "list", "[apple, banana]"),
        ("1. Tom\n2. Jerry", "list", "[tom, jerry]"),
        ("They are:\n- 1\n- 2", "set", "{1, 2}"),
        ("```python\n[1, 2]\n```", "list", "[1, 2]"),
        ("I compared the members and none of them is right", "set", None),
        ("Let $x = 3$. Then we need to compute", "expression", None),
    ],
)
def test_a_reply_without_a_marker_concludes_with_its_list(text: str, kind: str, key: str | None) -> None:
    assert concluded(text, kind) == key


def test_items_end_where_the_list_ends() -> None:
    assert items("- a,\n- b\n\nSo there are two.", 0) == "a; b"
    assert items("a, b", 0) is None
