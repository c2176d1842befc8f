"""Transcripts with one object per reply, as other programs record them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agents import transcript
from agents.simple_transcript import read
from agents.transcript import TranscriptError
from distill.graph import interaction_graph
from orchestrator.cli.discussions import transcripts_command

ASKED = {"question": "What is 17 + 25?", "gold": "42"}
REPLIES = [
    {**ASKED, "agent": "ann", "round": 0, "reply": "17 + 25 = 42. The answer is 42.", "model": "large"},
    {**ASKED, "agent": "bob", "round": 0, "reply": "I say 41.", "answer": "41", "confidence": 0.4},
    {**ASKED, "agent": "ann", "round": 1, "reply": "Still 42.", "answer": "42", "model": "large"},
    {**ASKED, "agent": "bob", "round": 1, "reply": "Ann is right: 42.", "answer": "42.0"},
]
OTHER = {"question": "Is 4 even?", "gold": "yes", "agent": "ann", "reply": "Answer: yes"}


def written(path: Path, *rows: Any) -> Path:
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_replies_of_one_question_are_one_discussion(tmp_path: Path, name: str) -> None:
    first, second = read(written(tmp_path / name, *REPLIES, OTHER))
    assert [(seat.name, seat.model) for seat in first.seats] == [("ann", "large"), ("bob", "bob")]
    assert [(turn.round, turn.seat, turn.answer, turn.received) for turn in first.turns] == [
        (0, 0, "42", ()),
        (0, 1, "41", ()),
        (1, 0, "42", (0, 1)),
        (1, 1, "42", (0, 1)),
    ]
    assert (first.question.kind, first.answer, first.is_right(first.answer)) == ("number", "42", True)
    assert first.votes[0].share == 1
    assert first.turns[1].stated == 0.4
    assert (second.question.kind, second.answer) == ("yesno", "yes")
    assert [data["right"] for _, data in interaction_graph(first).nodes(data=True)] == [True, False, True, True]


def test_the_full_form_is_read_as_before(tmp_path: Path) -> None:
    found = list(read(written(tmp_path / "a.jsonl", *REPLIES)))
    full = tmp_path / "full.jsonl"
    transcript.write(full, found)
    assert list(read(full)) == found
    with pytest.raises(TranscriptError, match=r"full.jsonl:1"):
        list(read(written(full, {"question": "Which?"})))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{**OTHER, "rond": 1}], "a.jsonl:1: rond: Extra inputs are not permitted"),
        ([{**OTHER, "round": -1}], "a.jsonl:1: round"),
        ([OTHER, {**OTHER, "agent": "bob", "gold": "no"}], "a.jsonl:1: gold: the lines of one discussion must agree"),
        ([{**OTHER, "kind": "number"}], "a.jsonl:1: gold: "),
        ([OTHER, OTHER], "a.jsonl:1: .*speaks twice in round 0"),
        ([OTHER, REPLIES[0], OTHER], "a.jsonl:3: a question that stood further up"),
        ([OTHER, {**OTHER, "round": 1, "model": "x"}], "a.jsonl:1: agent 'ann' has the models 'ann' and 'x'"),
    ],
)
def test_what_is_no_discussion_is_named_and_can_be_passed_over(tmp_path: Path, rows: list[Any], message: str) -> None:
    path = written(tmp_path / "a.jsonl", *rows)
    with pytest.raises(TranscriptError, match=message):
        list(read(path))
    errors: list[TranscriptError] = []
    list(read(path, bad=errors.append))
    assert len(errors) == 1


def test_the_page_of_transcripts_takes_it(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", *REPLIES)
    done = CliRunner().invoke(transcripts_command, [str(path)], catch_exceptions=False)
    assert (done.exit_code, "1 transcripts" in done.output) == (0, True)
    assert "Ann is right: 42." in (tmp_path / "a.html").read_text()
