"""Sentences that close a reply are taken off, and nothing else is."""

from __future__ import annotations

import pytest

from agents.answers.closings import without_closings


@pytest.mark.parametrize(
    "closing",
    [
        "Let me know if you have any questions about the 3 steps!",
        "I hope this helps! Let me know if you'd like more of the 12 examples.",
        "I am 95% confident in this answer.",
        "I'm about 80% sure.",
        "My confidence: 90",
        "Feel free to ask about the other 4 options.",
        "Would you like me to explain step 2?",
        "如果你还有2个问题，请告诉我。",
        "Thank you! I can do 10 more of these.",
    ],
)
@pytest.mark.parametrize("gap", [" ", "\n", "\n\n---\n\n"])
def test_a_closing_is_taken_off(closing: str, gap: str) -> None:
    assert without_closings(f"There are 45 birds.{gap}{closing}") == "There are 45 birds."


@pytest.mark.parametrize(
    "text",
    [
        "Let me know.",
        "There are 45 birds.",
        "The 95% confidence interval is 12.",
        "There are birds. Thank you for the hint. So there are 45.",
        "He hopes this helps 45 birds.",
        "If you need 3 eggs per cake, you need 12.\nSo the answer is 12.",
        "",
    ],
)
def test_what_is_no_closing_stays(text: str) -> None:
    assert without_closings(text) == text
