"""Transcripts: lossless to a file and back, a graph that runs forward in time, and one clear error for a bad line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import transcript as transcripts
from agents.question import Question
from agents.transcript import Seat, Tally, Transcript, TranscriptError, TranscriptMessage, Turn, Vote

ROOT = Path(__file__).parent.parent.parent
QUESTION = Question(id="q", question="1 + 1?", kind="number", answer="2")
PROMPT = (TranscriptMessage(role="user", content="1 + 1?"),)
TURNS = (
    Turn(round=0, seat=0, prompt=0, text="Answer: 2", characters=9, answer="2", stated=0.9, prompt_tokens=4),
    Turn(round=0, seat=1, prompt=0, error="no reply within 3 s"),
    Turn(round=1, seat=0, prompt=0, received=(0, 1), answer="2", completion_tokens=3),
)


def made(**changes: object) -> Transcript:
    vote = Vote(
        round=0,
        rule="majority",
        answer="2",
        share=1,
        tallies=(Tally(answer="2", turns=(0,), weight=1),),
        abstentions=(1,),
    )
    fields: dict[str, object] = {
        "question": QUESTION,
        "discussion": "debate",
        "seats": (Seat(name="a", model="m"), Seat(name="b", model="m")),
        "prompts": (PROMPT,),
        "turns": TURNS,
        "votes": (vote,),
        "answer": "2",
    }
    return Transcript.model_validate(fields | changes)


def test_a_transcript_counts_what_it_holds() -> None:
    one = made()
    assert (one.rounds, one.tokens, one.abstentions, one.failures) == (2, 7, 1, 1)
    assert one.edges() == [(0, 2), (1, 2)]
    assert [place for place, _ in one.in_round(1)] == [2]
    assert one.is_right("2.0") is True
    assert one.is_right(None) is False
    assert made(question=QUESTION.model_copy(update={"answer": None})).is_right("2") is None
    assert one.vote("majority") == one.votes[0]
    assert one.vote("majority", after=1) is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seats": (Seat(name="a", model="m"), Seat(name="a", model="m"))}, "two have one name"),
        ({"prompts": ()}, "turns.0: no such seat or prompt"),
        ({"turns": (*TURNS, Turn(round=1, seat=1, prompt=0, received=(2,)))}, "turns.3.received"),
        ({"turns": (*TURNS, TURNS[2])}, "speaks twice"),
        ({"turns": TURNS[1:2]}, "votes.0: counts a turn"),
    ],
)
def test_what_does_not_fit_together_is_refused(change: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        made(**change)


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
share = st.none() | st.floats(0, 1)
turns = st.builds(
    Turn,
    round=st.just(0),
    seat=st.just(0),
    prompt=st.just(0),
    text=text,
    reasoning=text,
    answer=st.none() | text,
    stated=share,
    confidence=share,
    prompt_tokens=st.integers(0, 10**9),
    seconds=st.floats(0, 1e9),
    cached=st.booleans(),
    error=st.none() | text,
)


@given(
    turn=turns,
    content=text,
    answer=st.none() | text,
    settings=st.dictionaries(text, st.none() | st.floats(-9, 9) | text),
)
def test_a_line_is_read_back_as_it_was(
    turn: Turn, content: str, answer: str | None, settings: dict[str, object]
) -> None:
    prompt = (TranscriptMessage(role="user", content=content),)
    one = made(turns=(turn,), votes=(), prompts=(prompt,), answer=answer, settings=settings)
    line = transcripts.line(one)
    assert line.count(b"\n") == 1
    assert transcripts.parse(line) == one


@pytest.mark.parametrize("name", ["t.jsonl", "t.jsonl.gz"])
def test_a_file_is_read_back_as_it_was(tmp_path: Path, name: str) -> None:
    written = [made(), made(seed=3, stopped="rounds")]
    assert transcripts.write(tmp_path / name, written) == 2
    assert list(transcripts.read(tmp_path / name)) == written
    assert list(transcripts.read(tmp_path / name, limit=1)) == written[:1]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"{", "2: Invalid JSON"),
        (b'{"version": 2}', "2: version"),
        (b'{"question": {"id": "q", "question": "?"}, "discussion": "d", "seats": [], "x": 1}', "seats"),
        (b"\xff\xfe", "2: Invalid JSON"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: bytes, told: str) -> None:
    (tmp_path / "t.jsonl").write_bytes(transcripts.line(made()) + line + b"\n")
    with pytest.raises(TranscriptError, match=told):
        list(transcripts.read(tmp_path / "t.jsonl"))


def test_a_line_without_end_and_a_cut_archive_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcripts, "LINE_LIMIT", 1000)
    (tmp_path / "t.jsonl").write_bytes(b"[" * 2000)
    with pytest.raises(TranscriptError, match="a line of more than"):
        list(transcripts.read(tmp_path / "t.jsonl"))
    transcripts.write(tmp_path / "t.jsonl.gz", [made()])
    whole = (tmp_path / "t.jsonl.gz").read_bytes()
    (tmp_path / "t.jsonl.gz").write_bytes(whole[:-20])
    with pytest.raises(TranscriptError, match="cannot be read after line"):
        list(transcripts.read(tmp_path / "t.jsonl.gz"))


def test_a_line_of_version_0_1_is_read(tmp_path: Path) -> None:
    lines = tmp_path / "old.jsonl"
    one = made()
    transcripts.write(lines, [one])
    old = lines.read_text().replace('"received"', '"heard"')
    assert '"heard"' in old
    lines.write_text(old)
    assert list(transcripts.read(lines)) == [one]


def test_the_published_schema_is_the_one_in_use() -> None:
    assert json.loads((ROOT / "docs" / "transcript.schema.json").read_text()) == transcripts.schema()
