"""The transcript viewer: whatever was said can be read, hostile text stays text, and the page stays small."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from agents import transcript as transcripts
from agents.question import Question
from agents.transcript import Seat, Tally, Transcript, TranscriptMessage, Turn, Vote
from orchestrator.cli import group
from orchestrator.errors import BadInput
from orchestrator.evaluation.report import RunReport, render
from orchestrator.evaluation.report.transcript_terminal import transcript_table
from orchestrator.evaluation.report.transcripts import transcripts as view

HOSTILE = '<script>alert(1)</script>"&\N{RIGHT-TO-LEFT OVERRIDE}'


def conferred(number: int = 0, gold: str | None = "2", said: str = "Two ones.") -> Transcript:
    """a and b answer 3, c answers 2; a is convinced, b abstains, c fails: the team is rescued."""
    turns = (
        Turn(round=0, seat=0, prompt=0, reasoning=said, text=said, answer="3", stated=0.5),
        Turn(round=0, seat=1, prompt=0, reasoning="Three.", answer="3", stated=0.4),
        Turn(round=0, seat=2, prompt=0, reasoning="One more.", answer="2", stated=0.9),
        Turn(round=1, seat=0, prompt=1, received=(0, 1, 2), reasoning="I follow.", answer="2", stated=0.7),
        Turn(round=1, seat=1, prompt=1, received=(0, 1, 2), text="Hm."),
        Turn(round=1, seat=2, prompt=1, received=(0, 1, 2), error="no reply within 3 s"),
    )
    votes = (
        Vote(round=0, rule="majority", answer="3", share=0.67, tallies=(Tally(answer="3", turns=(0, 1), weight=2),)),
        Vote(round=1, rule="majority", answer="2", share=1, tallies=(Tally(answer="2", turns=(3, 2), weight=2),)),
    )
    return Transcript(
        question=Question(id=f"q{number}", question="1 + 1?", kind="number", answer=gold),
        discussion="reconcile",
        seats=tuple(Seat(name=name, model=name) for name in ("a", "b", "c")),
        prompts=(
            (TranscriptMessage(role="user", content="1 + 1?"),),
            (TranscriptMessage(role="user", content="Again?"),),
        ),
        turns=turns,
        votes=votes,
        answer="2",
        stopped="rounds",
    )


def page(held: list[Transcript]) -> str:
    return render(
        RunReport(
            title="t",
            command="c",
            created=datetime(2026, 1, 1, tzinfo=UTC),
            split="test",
            fitted_on="",
            seed=0,
            methods=[],
            transcripts=held,
        )
    )


def test_rounds_are_columns_and_changes_of_mind_are_marked() -> None:
    text = page([conferred()])
    for part in (
        "First replies",
        "Round 1",
        "↻ was <bdi>3</bdi>",
        "abstains",
        "no reply within 3 s",
        "rescued",
        "says 90%",
    ):
        assert part in text
    assert text.count("<circle") == 6
    # Only a took an answer over, and only from c; all else was only read.
    assert text.count("<line") == 1
    assert len(re.findall(r"M\d+ \d+L", text)) == 8


def test_outcomes_can_be_filtered() -> None:
    found: Any = view_of([conferred(), conferred(1, gold=None)])
    # c, who was lost, keeps its answer: those who answer agree.
    assert [card["outcomes"] for card in found["cards"]] == [["rescued", "agreed"], ["agreed"]]
    assert 'data-outcomes="[&#34;rescued' in page([conferred()])


def view_of(held: list[Transcript]) -> Any:
    return view(
        RunReport(
            title="t",
            command="c",
            created=datetime(2026, 1, 1, tzinfo=UTC),
            split="test",
            fitted_on="",
            seed=0,
            methods=[],
            transcripts=held,
        )
    )


def test_hostile_text_stays_text() -> None:
    text = page([conferred(said=HOSTILE)])
    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_the_page_stays_small_and_says_what_it_left_out() -> None:
    text = page([conferred(number, said="x" * 5_000) for number in range(400)])
    assert len(text) < 2_000_000
    assert "more are in the run’s transcripts.jsonl.gz" in text


def test_a_page_has_some_of_every_outcome_however_many_were_rescued() -> None:
    kept = [conferred(1_000 + number, gold="9") for number in range(10)]
    held = [*(conferred(number, said="x" * 5_000) for number in range(400)), *kept]
    shown: Any = view_of(held)
    outcomes = [card["outcomes"][0] for card in shown["cards"]]
    assert outcomes.count("kept wrong") == 5
    assert outcomes == sorted(outcomes, key=["rescued", "kept wrong"].index)
    assert shown["left_out"] == len(held) - len(outcomes)


def test_a_transcript_in_the_terminal() -> None:
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(transcript_table(conferred()))
    console.file.close()
    text = console.export_text()
    for part in ("First reply", "↻ changed", "abstains", "no reply", "Two ones.", "majority"):
        assert part in text


def test_the_command_writes_a_page_of_any_file(tmp_path: Path) -> None:
    transcripts.write(tmp_path / "said.jsonl.gz", [conferred(), conferred(1)])
    done = CliRunner().invoke(group, ["transcripts", str(tmp_path / "said.jsonl.gz")], catch_exceptions=False)
    assert done.exit_code == 0
    text = (tmp_path / "said.html").read_text()
    assert "2 rescued, 0 corrupted" in text
    (tmp_path / "bad.jsonl").write_text("{\n")
    with pytest.raises(BadInput, match=r"bad\.jsonl:1: Invalid JSON"):
        CliRunner().invoke(group, ["transcripts", str(tmp_path / "bad.jsonl")], catch_exceptions=False)


def test_discussions_are_compared_in_pairs_on_the_questions_they_share() -> None:
    from orchestrator.cli.discussions import _page

    first = [conferred(number).model_copy(update={"discussion": "first"}) for number in (0, 1, 2)]
    held = [*first, *(conferred(number).model_copy(update={"discussion": "other", "answer": "3"}) for number in (1, 2))]
    report = _page(Path("t.jsonl"), held)
    (found,) = report.comparisons
    assert found.difference.n == 2  # of three questions, two were discussed by both
    assert found.p is not None
    assert not _page(Path("t.jsonl"), first).comparisons
