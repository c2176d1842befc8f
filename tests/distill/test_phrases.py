"""Mere agreement is taken out of a reasoning; reasons stay."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.phrases import without_agreement


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("I agree with the other agents. 3 x 4 = 12.", "3 x 4 = 12."),
        ("I am not sure, so I follow the most confident answer.", ""),
        ("I still disagree.", ""),
        ("After considering the others' answers, I agree with the majority.", ""),
        ("I agree with agent_1 because 3.5 is more than 3.", "I agree with agent_1 because 3.5 is more than 3."),
        ("I follow the rules of chess.", "I follow the rules of chess."),
        ("They are right.\nTwo and two is four.", "Two and two is four."),
        ("22 - 5 = 17. Then 17 * 2 = 34.", "22 - 5 = 17. Then 17 * 2 = 34."),
        ("", ""),
    ],
)
def test_mere_agreement_is_removed_and_reasons_stay(said: str, kept: str) -> None:
    assert without_agreement(said) == kept


@settings(max_examples=100, deadline=500)
@given(
    st.lists(
        st.sampled_from(["I agree", " with", " the", " other", " agents", ".", " to", " by", " I", "\n"]), max_size=400
    )
)
def test_hostile_agreement_stalls_nothing(parts: list[str]) -> None:
    assert len(without_agreement("".join(parts))) <= len("".join(parts))
