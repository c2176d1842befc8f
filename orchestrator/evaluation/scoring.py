"""Scorers of one's own: a function that says whether an answer is right, instead of the question's kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agents.question import Question, ScorerFailed
from orchestrator.errors import BadInput
from orchestrator.evaluation import code_tests
from orchestrator.extensions import extension


def scored(questions: Sequence[Question], name: str | None) -> list[Question]:
    """The questions, whose answers the function of this name scores: `module:function`, or an entry point of the group
    `collegium.scorers`. None: by their kind.

    `code` and `code-limits` run replies of kind code with their questions' tests (`code_tests`).

    The function takes a question and an answer (of kind `open` the whole reply as it was written, else the kind's
    canonical form) and returns True or False, or a number from 0 to 1, of which 1 is right. It is never asked about an
    abstention.

    Raises:
        BadInput: there is no such function. Later, where it fails or returns something else, `ScorerFailed`: that
            answer counts as failed, neither right nor wrong.
    """
    if name is None:
        return list(questions)
    if name in code_tests.SCORERS:
        if (other := next((one for one in questions if one.kind != "code"), None)) is not None:
            raise BadInput(f"--score {name}: question {other.id!r} is of kind {other.kind}, not code")
        found = code_tests.scorer(name)
        return [question.scored_by(name, _checked(name, found)) for question in questions]
    found = extension("collegium.scorers", name, "--score")
    if found is None:
        raise BadInput(f"--score: no scorer {name!r}: give module:function, or the name of an entry point")
    if not callable(found):
        raise BadInput(f"--score: {name!r} is no function but {type(found).__name__}")
    return [question.scored_by(name, _checked(name, found)) for question in questions]


def _checked(name: str, found: Callable[[Question, str], object]) -> Callable[[Question, str], float]:
    def checked(question: Question, answer: str) -> float:
        try:
            value = found(question, answer)
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise ScorerFailed(f"{name}: question {question.id!r}: {type(error).__name__}: {reason}") from error
        if not isinstance(value, bool | int | float) or not 0 <= value <= 1:
            shown = repr(value)[:100]
            raise ScorerFailed(f"{name}: question {question.id!r}: returned {shown}, not a number from 0 to 1")
        return float(value)

    return checked
