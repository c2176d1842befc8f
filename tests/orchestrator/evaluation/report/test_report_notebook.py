"""What results look like in a notebook: a report is its page, shut off from the notebook's own."""

from __future__ import annotations

import html
import re

from agents.question import Question
from agents.transcript import Seat, Transcript, TranscriptMessage, Turn
from orchestrator.evaluation.answer import RunResult
from orchestrator.evaluation.report.data import RunReport
from orchestrator.evaluation.report.page import render
from router.ranking import Evidence, Ranking, RankingEntry


def test_a_result_shows_its_report_in_a_notebook(report: RunReport) -> None:
    shown = RunResult(report, (), {}, None)._repr_html_()
    (inside,) = re.findall(r'<iframe srcdoc="([^"]*)" style="[^"]*"></iframe>', shown)
    assert html.unescape(inside) == render(report)


def test_a_ranking_shows_itself_with_its_reasons() -> None:
    entries = (
        RankingEntry("<b>solver</b>", 0.9, 0.75, {"similarity": 0.5}),
        RankingEntry("writer", 0.1, 0.25, {"similarity": 0.1}, "no profile"),
    )
    shown = Ranking(entries, (Evidence("neighbour", "Is 7 < 9?", 0.83),))._repr_html_()
    assert "&lt;b&gt;solver&lt;/b&gt;" in shown
    assert shown.index("75%") < shown.index("25%")
    assert "similarity" in shown
    assert "no profile" in shown
    assert "Is 7 &lt; 9? (0.83)" in shown
    assert "<table>" in Ranking(())._repr_html_()


def test_a_transcript_shows_rounds_replies_and_who_read_whom() -> None:
    turns = (
        Turn(round=0, seat=0, prompt=0, text="<script>I think 4</script>", answer="4", confidence=0.5),
        Turn(round=0, seat=1, prompt=0, text="It is 5", answer="5"),
        Turn(round=1, seat=0, prompt=0, received=(0, 1), error="gone"),
        Turn(round=1, seat=1, prompt=0, received=(0, 1), text="4 then", answer="4"),
    )
    transcript = Transcript(
        question=Question(id="q", question="2 + 2?", kind="number", answer="4"),
        discussion="reconcile",
        seats=(Seat(name="a", model="m"), Seat(name="b", model="m")),
        prompts=((TranscriptMessage(role="user", content="2 + 2?"),),),
        turns=turns,
        answer="4",
        confidence=0.9,
        stopped="rounds",
    )
    shown = transcript._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;I think 4" in shown
    assert shown.count("<line") == len(transcript.edges()) == 4
    assert shown.count("<circle") == 4
    for told in ("✓ 4 (0.50)", "✗ 5", "gone", "round 1", "<b>4</b> (0.90), rounds"):
        assert told in shown
