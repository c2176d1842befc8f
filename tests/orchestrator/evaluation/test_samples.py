"""Samples spread over tasks, each with what every expert and method answered."""

from __future__ import annotations

from agents.question import Question
from agents.reply import Reply
from orchestrator.evaluation import samples
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.evaluation.methods import Answer, MethodOutcome
from orchestrator.evaluation.samples import samples_of


def test_every_question_is_there_in_order_with_replies_of_bounded_length() -> None:
    questions = [
        Question(id=f"{task}{number}", task=task, question="?", kind="number", answer="1")
        for task, count in (("large", 60), ("small", 2))
        for number in range(count)
    ]
    reply = Reply("1" * (samples.LONGEST + 1), "1", None, None)
    replies = {(one.id, "base"): ExpertReply(one, "base", reply, True, None) for one in questions}
    found = samples_of(questions, [], replies)
    assert [one.id for one in found] == [one.id for one in questions]
    assert all(one.answers["base"].right for one in found)
    assert {len(one.answers["base"].text) for one in found} == {samples.LONGEST}


def test_an_answer_is_shown_as_it_was_written() -> None:
    question = Question(id="q", question="Who?", kind="text", answer="The Beatles")
    reply = ExpertReply(question, "a", Reply("", "", "beatles", None, "The Beatles"), True, None)
    outcome = MethodOutcome("vote", (Answer(question, "beatles", True, (reply,)),))
    (found,) = samples_of([question], [outcome], {("q", "a"): reply})
    assert {one.written for one in found.answers.values()} == {"The Beatles"}
