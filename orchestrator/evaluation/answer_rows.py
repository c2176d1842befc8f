"""Every question's outcome of every method: as rows for tables, and as one letter a question for whoever recomputes an
interval or pairs two runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchestrator.evaluation.methods import Answer, MethodOutcome
from orchestrator.evaluation.outcomes import OutcomeKind

LETTERS: Mapping[OutcomeKind, str] = {"right": "1", "wrong": "0", "abstained": "a", "unreadable": "u", "failed": "f"}
NOT_ASKED = "-"


def letters(answers: Iterable[Answer], questions: Iterable[str]) -> str:
    """One letter of `LETTERS` per question id, in the order of `questions`; `-` where the method has no answer."""
    found = {one.question.id: LETTERS[one.outcome] for one in answers}
    return "".join(found.get(id, NOT_ASKED) for id in questions)


def answer_rows(outcomes: Sequence[MethodOutcome]) -> list[dict[str, Any]]:
    """One row per method and question: what was answered, by whom, and what came of it. `method` is an expert's name
    where it stands for one expert alone; `answer` is what was written, `compared` its key of comparison."""
    return [
        {
            "method": outcome.name,
            "question": one.question.id,
            "task": one.question.task,
            "text": one.question.question,
            "gold": one.question.answer,
            "answer": one.displayed,
            "compared": one.answer,
            "outcome": one.outcome,
            "confidence": one.confidence,
            "experts": [reply.expert for reply in one.used],
            "calls": len(one.used) + len(one.beside),
            **_spent(one),
        }
        for outcome in outcomes
        for one in outcome.answers
    ]


def _spent(one: Answer) -> dict[str, int]:
    found = [reply.completion for reply in (*one.used, *one.beside) if reply.completion]
    prompt, reply = sum(each.prompt_tokens for each in found), sum(each.completion_tokens for each in found)
    return {
        "cached_calls": sum(each.cached for each in found),
        "tokens": prompt + reply,
        "prompt_tokens": prompt,
        "completion_tokens": reply,
    }
