"""Every question's outcome: as rows, and as one letter."""

from __future__ import annotations

from agents.question import Question
from agents.reply import Reply
from orchestrator.evaluation.answer_rows import answer_rows, letters
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.evaluation.methods import Answer, MethodOutcome
from orchestrator.inference.request import Completion


def one(
    id: str, text: str, answer: str | None, *, right: bool = False, error: str | None = None, written: str | None = None
) -> Answer:
    question = Question(id=id, question="Is it so?", kind="yesno", answer="yes", task="t")
    completion = None if error else Completion("k", text, "stop", 7, 3, (), 0.0)
    reply = ExpertReply(question, "a", Reply(text, "", answer, None, written), right, completion, error)
    return Answer(question, answer, right, (reply,), confidence=0.5)


ANSWERS = (
    one("q1", "Yes.", "yes", right=True, written="Yes"),
    one("q2", "no", "no"),
    one("q3", "Answer: I am not sure.", None),
    one("q4", "Blue.", None),
    one("q5", "", None, error="HTTP 500"),
)


def test_each_kind_of_outcome_has_its_letter_in_the_order_of_the_questions() -> None:
    assert letters(ANSWERS, ["q5", "q1", "q0", "q2", "q3", "q4"]) == "f1-0au"


def test_a_row_says_what_was_answered_by_whom_and_at_what_cost() -> None:
    rows = answer_rows([MethodOutcome("vote", ANSWERS)])
    assert [row["outcome"] for row in rows] == ["right", "wrong", "abstained", "unreadable", "failed"]
    assert rows[0] == {
        "method": "vote",
        "question": "q1",
        "task": "t",
        "text": "Is it so?",
        "gold": "yes",
        "answer": "Yes",
        "compared": "yes",
        "outcome": "right",
        "confidence": 0.5,
        "experts": ["a"],
        "calls": 1,
        "cached_calls": 0,
        "tokens": 10,
        "prompt_tokens": 7,
        "completion_tokens": 3,
    }
    assert rows[1]["answer"] == rows[1]["compared"] == "no"
    assert rows[-1]["tokens"] == 0
