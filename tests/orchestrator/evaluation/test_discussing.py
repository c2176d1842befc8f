"""What discussions are fitted on: no question's vote is fitted with a calibration that has seen that question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from agents.confidence import Calibrate
from agents.question import Question
from agents.reply import Reply
from orchestrator.errors import SetupError
from orchestrator.evaluation import discussing
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.evaluation.discussing import by_meaning, fitted
from router.embedding import Embedder, EmbedderFailed

EXPERTS = ("a", "b", "c")


def replies(questions: int) -> list[ExpertReply]:
    """Three experts on each question; a confidence of its own for every question."""
    found = []
    for number in range(questions):
        question = Question(id=f"q{number}", question=f"What is {number}?", kind="text", answer="yes")
        for place, expert in enumerate(EXPERTS):
            right = (number + place) % 3 > 0
            reply = Reply("", "", "yes" if right else "no", (number + 1) / (questions + 2))
            found.append(ExpertReply(question, expert, reply, right, None))
    return found


def test_the_votes_odds_are_fitted_on_calibrations_of_other_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def calibrated(answered: Sequence[ExpertReply], kind: str) -> Calibrate:
        seen = {one.reply.confidence for one in answered}

        def probability(expert: str, confidence: float | None) -> float:
            assert confidence not in seen
            asked.append((expert, confidence))
            return 0.6

        return probability

    monkeypatch.setattr(discussing, "fitted", calibrated)
    validation = replies(12)
    discussing.fitted_odds(validation, EXPERTS, "stated")
    assert sorted(asked) == sorted((one.expert, one.reply.confidence) for one in validation)


def test_one_question_fits_no_odds() -> None:
    assert discussing.fitted_odds(replies(1), EXPERTS, "stated") == discussing.AT_THEIR_WORD


def test_an_expert_that_says_nothing_in_validation_is_as_good_as_all_of_them() -> None:
    assert fitted([], "stated")("new", 0.9) == 0.5
    assert fitted([], "static")("new", 0.9) == 0.9


def test_open_answers_without_an_embedder_end_with_what_is_missing() -> None:
    class Broken(Embedder):
        def embed(self, texts: Any) -> Any:
            raise EmbedderFailed("embedding x needs the package sentence-transformers")

    assert by_meaning(Broken())([]) == []
    with pytest.raises(SetupError, match="embedding: embedding x needs the package"):
        by_meaning(Broken())(["a", "b"])
