"""A vote of your own: each reply counts with the square of its probability of being right.

PYTHONPATH=examples/extending collegium run --task mixed --methods symbolic-moe --aggregator own_aggregator:squared
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.question import Question


def squared(question: Question, answers: Sequence[str | None], probabilities: Sequence[float]) -> list[float]:
    """The weight of each answer."""
    return [probability**2 for probability in probabilities]
