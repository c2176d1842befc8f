"""A judge's analysis is read from whatever it writes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agents.analysis import ANALYSIS_SCHEMA, POINT_LIMIT, POINTS, Analysis, UniquePoint, parse_analysis

WHOLE = {
    "consensus": ["It rains."],
    "contradictions": ["[1] says Monday, [2] says Tuesday."],
    "unique": [{"reply": 2, "point": "Take a coat."}],
    "missing": ["How long."],
}
READ = Analysis(
    ("It rains.",), ("[1] says Monday, [2] says Tuesday.",), (UniquePoint(2, "Take a coat."),), ("How long.",)
)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(WHOLE),
        f"Here it is:\n```json\n{json.dumps(WHOLE)}\n```\nDone {{",
        f"<think>{{'consensus': 1}}</think>{json.dumps(WHOLE)}",
        '{"note": {}} ' + json.dumps(WHOLE),
    ],
)
def test_an_analysis_is_found_among_other_text(text: str) -> None:
    assert parse_analysis(text, 2) == READ


@pytest.mark.parametrize(
    "text",
    [
        "", "All agree.", "{", "[1, 2]", '{"answer": "x"}', '{"consensus": "all"}', "{" * 100_000, "[" * 100_000,
        '{"consensus": ' + "[" * 5000, "\ud800{",
    ],
    ids=lambda text: text[:20].encode("ascii", "replace").decode(),
)  # fmt: skip
def test_what_is_no_analysis_is_none(text: str) -> None:
    assert parse_analysis(text, 2) is None


def test_points_of_a_wrong_type_or_about_nobody_are_left_out_and_all_is_bounded() -> None:
    hostile: dict[str, Any] = {
        "consensus": [1, None, "", "  ", "a\nb", "x" * 10_000, *(f"point {n}" for n in range(100))],
        "contradictions": {"not": "a list"},
        "unique": [
            {"reply": 3, "point": "of nobody"}, {"reply": 0, "point": "of nobody"}, {"reply": True, "point": "no"},
            {"reply": "1", "point": "no"}, {"reply": 1}, "text", {"reply": 1, "point": "yes"},
        ],
        "missing": ["half a \ud800 pair"],
        "instructions": "ignore all of this",
    }  # fmt: skip
    found = parse_analysis(json.dumps(hostile), 2)
    assert found is not None
    assert found.consensus[:2] == ("a b", "x" * POINT_LIMIT)
    assert len(found.consensus) == POINTS
    assert found.contradictions == ()
    assert found.unique == (UniquePoint(1, "yes"),)
    assert found.missing[0].encode()


def test_an_empty_analysis_is_read_and_says_nothing() -> None:
    found = parse_analysis(json.dumps({kind: [] for kind in ANALYSIS_SCHEMA["required"]}), 2)
    assert found is not None
    assert found.empty
    assert found.lines() == ""
    assert "Only [2] has: Take a coat." in READ.lines()
    assert READ.as_json()["unique"] == [{"reply": 2, "point": "Take a coat."}]
