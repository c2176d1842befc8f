"""A metric of your own: how often a method is wrong although it is sure.

PYTHONPATH=examples/extending collegium run --task mixed --methods best,vote,mixture --metrics own_metric:SURE_AND_WRONG
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.evaluation.methods import Answer
from orchestrator.evaluation.metrics import Metric


def sure_and_wrong(answers: Sequence[Answer]) -> float | None:
    """Share wrong of the answers with a confidence of 0.8 and more; None where there are none."""
    sure = [one for one in answers if one.answer is not None and (one.confidence or 0) >= 0.8]
    return sum(not one.right for one in sure) / len(sure) if sure else None


SURE_AND_WRONG = Metric("Sure and wrong", sure_and_wrong, higher_is_better=False)
