"""Coin flips (Wei et al. 2022, https://arxiv.org/abs/2201.11903): is the coin still heads up after four people?"""

from __future__ import annotations

from random import Random

from orchestrator.evaluation.tasks.task import Draft, Task
from orchestrator.evaluation.tasks.words import NAMES


def _draft(rng: Random) -> Draft:
    names = rng.sample(NAMES, rng.choice((3, 4)))
    text, heads, steps = "A coin is heads up. ", True, []
    for name in names:
        flips = rng.random() < 0.5
        heads = heads != flips
        text += f"{name} flips the coin. " if flips else f"{name} does not flip the coin. "
        steps.append(f"{name} {'flips' if flips else 'no flip'}: {'heads' if heads else 'tails'}.")
    answer, wrong = ("yes", "no") if heads else ("no", "yes")
    return Draft(text + "Is the coin still heads up?", answer, " ".join(steps), wrong)


TASK = Task("coin_flip", "yesno", ("coin flipping", "parity"), _draft)
