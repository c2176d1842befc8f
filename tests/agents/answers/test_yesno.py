"""Yes and no, and what says neither."""

import pytest

from agents import answers


@pytest.mark.parametrize(
    ("spelling", "value"),
    [("Yes.", "yes"), ("TRUE", "yes"), ("no", "no"), ("False!", "no"), ("maybe", None), ("", None), ("nothing", None)],
)
def test_yes_and_no(spelling: str, value: str | None) -> None:
    assert answers.canonical(spelling, "yesno") == value
