"""The rounds of a conversation as HTML."""

from __future__ import annotations

from agents.question import Question
from agents.transcript import Seat, Transcript, TranscriptMessage, Turn


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
