"""A reply that its token limit ended has no answer that it did not mark, alone and in a discussion."""

from __future__ import annotations

from pathlib import Path

from agents.question import Question
from orchestrator import Collegium
from orchestrator.evaluation.answering import answer_all, is_right
from orchestrator.evaluation.outcomes import outcome_of
from orchestrator.inference.request import Sampling

QUESTION = Question(id="q", question="How many metres are 8 km?", kind="number", answer="8000")


async def test_a_reply_that_was_cut_is_unreadable(tmp_path: Path) -> None:
    config = {
        "experts": {"one": {"script": "tests.scripts.voices:rambling"}},
        "workers": {"engine": "scripted", "in_process": True},
        "state": str(tmp_path / "state"),
    }
    with Collegium(config) as collegium:
        expert = collegium.experts["one"]
        for tokens in (40, 5):
            asked = await answer_all(collegium.pool, [expert], [QUESTION], Sampling(max_tokens=tokens), 0)
            (reply,) = asked.values()
            assert reply.completion is not None
            assert reply.completion.finish_reason == "length"
            assert reply.reply.answer is None
            assert outcome_of(reply) == "unreadable"


def test_no_answer_is_never_right() -> None:
    assert [is_right(QUESTION, answer) for answer in ("8000", "8", None)] == [True, False, False]
    assert not is_right(Question(id="q", question="?", kind="number"), "8000")
