"""Gold answers: wholly an answer of their kind, or refused with the reason."""

from __future__ import annotations

from typing import Any

import pytest

from agents import answers


@pytest.mark.parametrize(
    ("text", "kind", "key"),
    [
        ("3+2=<<3+2=5>>5\n#### 5", "number", "5"),
        ("\\frac{1}{2}", "number", "1/2"),
        ("$1,234.50", "number", "2469/2"),
        ("2\\sqrt{3}", "number", "3.464101615…"),
        ("True", "yesno", "yes"),
        ("(3,4)", "expression", "(3, 4)"),
        ("\\text{odd}", "expression", "odd"),
    ],
)
def test_gold_answers(text: str, kind: Any, key: str) -> None:
    assert answers.gold(text, kind) == key


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("3+2=<<3+2=5>>5", "number"),
        ("3+2=5", "number"),
        ("5 or 6", "number"),
        ("7 (see note)", "number"),
        ("Room 2 has 5 chairs", "number"),
        ("maybe", "yesno"),
        ("yes or no", "yesno"),
        ("x +", "expression"),
        (" ", "text"),
    ],
)
def test_gold_that_is_not_wholly_an_answer_is_refused(text: str, kind: Any) -> None:
    with pytest.raises(answers.GoldError, match=r"blank|is not wholly"):
        answers.gold(text, kind)


def test_gold_of_a_choice_is_a_label_or_one_options_text() -> None:
    choices = {"A": "red", "B": "blue"}
    assert [answers.gold(one, "choice", choices) for one in ("B", "(b)", "blue", "B. blue")] == ["B"] * 4
    for wrong in ("C", "A or B", "B red", "bluish"):
        with pytest.raises(answers.GoldError, match="none of the options"):
            answers.gold(wrong, "choice", choices)


@pytest.mark.parametrize("text", ["unknown", "None of the above", "N/A"])
def test_a_text_that_says_that_there_is_no_answer_is_no_gold(text: str) -> None:
    with pytest.raises(answers.GoldError, match="would never be right"):
        answers.gold(text, "text")
    assert answers.gold("None but the Brave", "text") == "none but the brave"
