"""A task of your own: sums of two numbers, generated without end, with gold answers.

PYTHONPATH=examples/extending collegium run --task own_task:SUMS --methods each,vote
"""

from __future__ import annotations

from random import Random

from orchestrator.evaluation.tasks.task import Draft, Task


def draft(rng: Random) -> Draft:
    """One question. It depends on the random state alone; the question's text decides which split it belongs to."""
    left, right = rng.randint(1, 999), rng.randint(1, 999)
    return Draft(
        question=f"What is {left} plus {right}?",
        answer=str(left + right),
        solution=f"{left} + {right} = {left + right}.",
        wrong=str(left + right + 10),
    )


SUMS = Task("sums", "number", ("addition",), draft)
