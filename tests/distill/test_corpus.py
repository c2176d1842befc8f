"""From transcripts to lessons on disk: what is dropped by which rule, and bounded memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agents import transcript as transcripts
from agents.transcript import Transcript
from distill.corpus import Corpus, CorpusSummary, prepare
from distill.graph import interaction_graph
from distill.pairs import Lesson, Selection, lesson

Discuss = Callable[..., Transcript]


def learnt(transcript: Transcript, **selection: Any) -> Lesson:
    found = lesson(interaction_graph(transcript), Selection.model_validate(selection))
    assert isinstance(found, Lesson), found
    return found


def test_only_right_replies_have_no_pairs_and_only_wrong_ones_no_lesson(discuss: Discuss, tmp_path: Path) -> None:
    assert learnt(discuss(0, [["Yes.\nAnswer: 12"]]), level="L4").pairs == ()
    sifted = prepare(
        [
            discuss(0),
            discuss(1, [["Nine.\nAnswer: 9", "Nine.\nAnswer: 9"]]),
            discuss(2, answer=None),
            discuss(3, [["I agree.\nAnswer: 12", "  "]]),
            discuss(4, [["word " * 900 + "\nAnswer: 12", "Three fours.\nAnswer: 12"]]),
        ],
        Selection(level="L4"),
        tmp_path / "lessons.jsonl",
        lambda text: len(text.split()),
    )
    assert (sifted.transcripts, sifted.lessons) == (5, 2)
    counts = {rule: (found.count, found.examples) for rule, found in sifted.questions_dropped.items()}
    assert counts == {"no right reply with a reasoning": (2, ["q1", "q3"]), "no gold answer": (1, ["q2"])}
    assert {rule: found.count for rule, found in sifted.replies_dropped.items()} == {
        "an empty reply": 1,
        "a reply without any reasoning of its own": 1,
        "a reply longer than the limit": 1,
    }


def test_where_no_lesson_remains_the_reasons_are_said_with_their_numbers(discuss: Discuss, tmp_path: Path) -> None:
    held = [discuss(1, [["Nine.\nAnswer: 9", "  "]]), discuss(2, answer=None)]
    why = prepare(held, Selection(level="L4"), tmp_path / "lessons.jsonl", len).why_none()
    assert why.startswith("of 2 transcripts: ")
    for reason in ("1 questions (no right reply with a reasoning; 'q1')", "1 questions (no gold answer; 'q2')"):
        assert reason in why
    assert "1 replies (an empty reply; 'q1')" in why
    assert CorpusSummary().why_none() == "there are no transcripts"


def test_bad_lines_are_counted_and_reading_goes_on(discuss: Discuss, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    transcripts.write(path, [discuss(0)])
    unknown = discuss(1).model_dump_json().replace('"seat":1', '"seat":7')
    path.write_bytes(path.read_bytes() + b"not json\n" + unknown.encode() + b"\n")
    sifted = CorpusSummary()
    found = prepare(
        transcripts.read(path, bad=sifted.bad_line), Selection(level="L4"), tmp_path / "lessons.jsonl", len, sifted
    )
    assert (found.transcripts, found.lessons) == (3, 1)
    dropped = found.questions_dropped["a line that is no transcript"]
    assert dropped.count == 2
    assert "t.jsonl:2" in dropped.examples[0]
    assert "no such seat" in dropped.examples[1]


def test_validation_questions_stay_on_their_side(discuss: Discuss, tmp_path: Path) -> None:
    sides = []
    for level in ("L1", "L4"):
        path = tmp_path / f"{level}.jsonl"
        selection = Selection.model_validate({"level": level})
        prepare((discuss(number) for number in range(60)), selection, path, len)
        corpus = Corpus(path, validation=0.25)
        assert 5 < corpus.held_out < 30
        assert len(corpus) + corpus.held_out == 60
        sides.append([one.id for one in corpus.validation(100)])
        corpus.close()
    assert sides[0] == sides[1]


@pytest.mark.soak
def test_memory_stays_bounded_over_100_000_transcripts(discuss: Discuss, tmp_path: Path) -> None:
    one = discuss()

    def stream() -> Iterator[Transcript]:
        for number in range(100_000):
            question = one.question.model_copy(update={"id": f"q{number}"})
            yield one.model_copy(update={"question": question})

    transcripts.write(tmp_path / "t.jsonl", stream())
    tracemalloc.start()
    sifted = prepare(
        transcripts.read(tmp_path / "t.jsonl"),
        Selection(level="L4"),
        tmp_path / "lessons.jsonl",
        lambda text: len(text.split()),
    )
    corpus = Corpus(tmp_path / "lessons.jsonl")
    assert corpus[99_999].id == "q99999"
    corpus.close()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sifted.lessons == len(corpus) == 100_000
    assert peak < 30 * 2**20
