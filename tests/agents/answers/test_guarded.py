"""A guard passes by only texts without a match: whatever a pattern matches holds one of its words."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import answers
from agents.answers.guarded import Guarded

PATTERNS = {
    f"{module.name}.{name}": value
    for module in pkgutil.iter_modules(answers.__path__)
    for name, value in vars(importlib.import_module(f"agents.answers.{module.name}")).items()
    if isinstance(value, Guarded)
}


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_no_match_is_passed_by(name: str) -> None:
    guarded = PATTERNS[name]
    ascii_only = re.compile(guarded.pattern.pattern, guarded.pattern.flags & ~re.UNICODE | re.ASCII)

    @settings(max_examples=300, deadline=None)
    @given(st.from_regex(ascii_only, alphabet=st.characters(codec="utf-8")))
    def check(text: str) -> None:
        assert (guarded.search(text) is None) == (guarded.pattern.search(text) is None), text

    check()


def test_a_guard_looks_for_its_words_in_any_case() -> None:
    guarded = Guarded(r"\bcannot\b", "cannot")
    assert guarded.search("I CANNOT say")
    assert guarded.search("I can say") is None
    assert guarded.search("cannot, cannot", 1).start() == 8  # type: ignore[union-attr]
    assert guarded.sub("can", "I cannot") == "I can"
    assert guarded.sub("x", "I will") == "I will"
    assert Guarded(r"\bcannot\b", "xyz").search("cannot") is None


def test_a_guarded_end_looks_at_the_last_words_only() -> None:
    guarded = Guarded(r"\bmaybe (?:the )?$", "maybe", at_end=True)
    assert guarded.search("so MAYBE the ") is not None
    assert guarded.search("maybe this is not the ") is None
    assert Guarded(r"\bmaybe (?:the )?$", "xyz", at_end=True).search("maybe the ") is None
