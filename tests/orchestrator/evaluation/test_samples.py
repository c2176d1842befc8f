"""Samples spread over tasks, each with what every expert and method answered."""

from __future__ import annotations

from agents.question import Question
from agents.reply import Reply
from orchestrator.evaluation import samples
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.evaluation.methods import Answer, MethodOutcome
from orchestrator.evaluation.samples import samples_of


def test_samples_are_spread_over_tasks_and_bounded() -> None:
    questions = [
        Question(id=f"{task}{number}", task=task, question="?", kind="number", answer="1")
        for task, count in (("large", 60), ("small", 2))
        for number in range(count)
    ]
    replies = {(one.id, "base"): ExpertReply(one, "base", Reply("1", "1", None, None), True, None) for one in questions}
    found = samples_of(questions, [], replies)
    assert len(found) == samples.SAMPLES
    assert [one.id for one in found[:4]] == ["large0", "small0", "large1", "small1"]
    assert all(one.answers["base"].right for one in found)


def test_an_answer_is_shown_as_it_was_written() -> None:
    question = Question(id="q", question="Who?", kind="text", answer="The Beatles")
    reply = ExpertReply(question, "a", Reply("", "", "beatles", None, "The Beatles"), True, None)
    outcome = MethodOutcome("vote", (Answer(question, "beatles", True, (reply,)),))
    (found,) = samples_of([question], [outcome], {("q", "a"): reply})
    assert {one.written for one in found.answers.values()} == {"The Beatles"}
