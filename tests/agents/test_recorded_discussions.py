"""ReConcile's and DyLAN's records become transcripts; what they leave out is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agents.recorded_discussions import known, replies
from agents.simple_transcript import read
from agents.transcript import TranscriptError

RECONCILE: dict[str, Any] = {
    "question": "Is ice warm?",
    "gold_answer": "no",
    "claude_output_0": {"reasoning": "Ice is cold.", "answer": "no", "confidence_level": 0.9},
    "gpt3_output_0": {"reasoning": "It melts.", "answer": "yes", "confidence_level": "60%"},
    "bard_output_0": {"reasoning": "", "answer": "yes", "confidence_level": 0.0},
    "gpt3_output_1": {"reasoning": ["Ice", "is frozen."], "answer": "no", "confidence_level": 0.8},
    "majority_ans_0": "yes",
}
DYLAN = {
    "id": "d-1",
    "question": "Which?",
    "choices": {"A": "red", "B": "blue"},
    "rounds": [["The answer is (A).", None], ["So (B).", "The answer is B."]],
}


def written(path: Path, *records: object) -> Path:
    path.write_text("\n".join(json.dumps(one) for one in records), encoding="utf-8")
    return path


def test_a_record_of_reconcile_is_a_transcript(tmp_path: Path) -> None:
    (found,) = read(written(tmp_path / "r.jsonl", RECONCILE))
    assert (found.question.answer, found.question.kind) == ("no", "yesno")
    assert [seat.name for seat in found.seats] == ["claude", "gpt3", "bard"]
    assert [(turn.round, turn.answer, turn.stated) for turn in found.turns] == [
        (0, "no", 0.9),
        (0, "yes", 0.6),
        (0, None, 0.0),  # a failed call, for which a random answer was recorded
        (1, "no", 0.8),
    ]
    assert found.turns[3].received == (0, 1, 2)
    assert found.turns[3].text == "Ice is frozen."
    assert found.answer == "no"


def test_records_may_stand_in_one_array(tmp_path: Path) -> None:
    other = {**RECONCILE, "question": "Is fire cold?"}
    for indent in (None, 2):
        path = tmp_path / f"r-{indent}.json"
        path.write_text(json.dumps([RECONCILE, other], indent=indent), encoding="utf-8")
        assert [one.question.question for one in read(path)] == ["Is ice warm?", "Is fire cold?"]


def test_agents_and_later_replies(tmp_path: Path) -> None:
    body = {
        "question": "2 + 2?",
        "answer": "4",
        "agents": [{"name": "a", "reasoning": "x", "answer": "5", "confidence": 0.5}],
        "later": [{"name": "a", "round": 1, "reasoning": "y", "answer": "4.0", "confidence": 1}],
    }
    (found,) = read(written(tmp_path / "r.jsonl", body))
    assert [(turn.round, turn.answer) for turn in found.turns] == [(0, "5"), (1, "4")]
    assert found.question.kind == "number"


def test_a_record_of_dylan_by_round_and_by_agent(tmp_path: Path) -> None:
    by_agent = {**DYLAN, "id": "d-2", "completions": [["The answer is (A).", "So (B)."], [None, "The answer is B."]]}
    del by_agent["rounds"]
    rows, agents = read(written(tmp_path / "d.jsonl", DYLAN, by_agent))
    expected = [(0, 0, "A"), (1, 0, "B"), (1, 1, "B")]
    for found in (rows, agents):
        assert [(turn.round, turn.seat, turn.answer) for turn in found.turns] == expected
        assert found.question.answer is None


def test_options_with_labels_or_counted_from_one() -> None:
    labelled = {**DYLAN, "options": ["A)red", "(B) blue"], "choices": None}
    assert replies(labelled, "x")[0]["choices"] == {"A": "red", "B": "blue"}
    assert replies({**labelled, "options": ["red", "blue"]}, "x")[0]["choices"] == {"1": "red", "2": "blue"}


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ([["a"], ["b"]], "without their question"),
        ({"claude_output_0": {"reasoning": "x", "answer": "y"}}, "question: missing"),
        ({"question": "Q?", "claude_output_0": "yes"}, "claude_output_0: must be an object"),
        ({"question": "Q?", "rounds": [[3]]}, "must be text or null"),
        ({"question": "Q?", "rounds": ["no"]}, "list of lists"),
        ({"question": "Q?", "rounds": [[None]]}, "no reply in it"),
        ({"question": "Q?", "agents": [{"answer": "x"}]}, "an object with a name"),
        ({"question": "Q?", "agents": [{"name": "a", "round": "1"}]}, "whole number"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, body: object, problem: str) -> None:
    assert known(body)
    with pytest.raises(TranscriptError, match=problem) as caught:
        list(read(written(tmp_path / "r.jsonl", body)))
    assert "r.jsonl:1" in str(caught.value)
    bad: list[TranscriptError] = []
    assert len(list(read(written(tmp_path / "r.jsonl", body, RECONCILE), bad=bad.append))) == 1
    assert len(bad) == 1


def test_pickle_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "SQA_round_2.pkl").write_bytes(b"\x80")
    with pytest.raises(TranscriptError, match="pickle files are not read"):
        list(read(tmp_path / "SQA_round_2.pkl"))


def test_other_records_are_left_to_other_readers() -> None:
    assert not known({"seats": [], "turns": []})
    assert not known("text")
    assert not known([1, 2])
