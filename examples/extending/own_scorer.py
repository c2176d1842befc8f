"""A scorer of your own: an answer is right if it names every word of the gold answer, in any order.

PYTHONPATH=examples/extending collegium run --task questions.jsonl --score own_scorer:names_all
"""

from __future__ import annotations

from agents.question import Question


def names_all(question: Question, answer: str) -> bool:
    """Whether every word of the gold answer stands in the answer."""
    given = set(answer.casefold().split())
    return set((question.answer or "").casefold().split()) <= given
