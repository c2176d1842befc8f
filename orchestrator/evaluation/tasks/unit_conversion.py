"""Unit conversion in one multiplication and one addition: 7 feet 3 inches are 87 inches."""

from __future__ import annotations

from random import Random

from orchestrator.evaluation.tasks.task import Draft, Task
from orchestrator.evaluation.tasks.words import NAMES

_UNITS: tuple[tuple[str, str, int], ...] = (
    ("feet", "inches", 12),
    ("yards", "feet", 3),
    ("weeks", "days", 7),
    ("days", "hours", 24),
    ("hours", "minutes", 60),
    ("minutes", "seconds", 60),
    ("years", "months", 12),
    ("decades", "years", 10),
    ("metres", "centimetres", 100),
    ("centimetres", "millimetres", 10),
    ("kilometres", "metres", 1000),
    ("kilograms", "grams", 1000),
    ("litres", "millilitres", 1000),
    ("pounds", "ounces", 16),
    ("gallons", "quarts", 4),
    ("dollars", "cents", 100),
    ("dozens", "pieces", 12),
)


def _draft(rng: Random) -> Draft:
    large, small, factor = rng.choice(_UNITS)
    count = rng.randint(2, 19 if factor % 10 == 0 else 9)
    rest = rng.randint(1, min(factor - 1, 99)) if factor > 10 or rng.random() < 0.5 else rng.randint(1, 9)
    product = count * factor
    amount = f"{count} {large} and {rest} {small}"
    text = rng.choice((f"How many {small} are {amount}?", f"Convert {amount} to {small}."))
    if rng.random() < 0.5:
        text = f"{rng.choice(NAMES)} wrote down {amount}. How many {small} is that?"
    solution = f"{factor} {small} each. {count} * {factor} = {product}. {product} + {rest} = {product + rest}."
    wrong = product if rng.random() < 0.5 else product + rest + rng.choice((-10, -2, -1, 1, 2, 10))
    return Draft(text, str(product + rest), solution, str(wrong))


TASK = Task("unit_conversion", "number", ("unit conversion", "measurement"), _draft)
