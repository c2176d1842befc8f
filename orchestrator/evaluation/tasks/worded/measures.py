"""An amount in two units, converted to the smaller one: 3 metres and 40 centimetres are 340 centimetres."""

from __future__ import annotations

from random import Random

from orchestrator.evaluation.tasks.task import Draft
from orchestrator.evaluation.tasks.worded.vocabulary import SplitVocabulary
from orchestrator.evaluation.tasks.worded.wording import Wordings, near, worded

UNITS: tuple[tuple[str, str, int], ...] = (
    ("metres", "centimetres", 100),
    ("centimetres", "millimetres", 10),
    ("feet", "inches", 12),
    ("yards", "feet", 3),
    ("hours", "minutes", 60),
    ("minutes", "seconds", 60),
    ("weeks", "days", 7),
    ("days", "hours", 24),
    ("years", "months", 12),
    ("dollars", "cents", 100),
    ("pounds", "ounces", 16),
    ("gallons", "quarts", 4),
)
"""Larger unit, smaller unit, how many of the smaller make one of the larger. All splits convert the same units."""

WORDINGS = Wordings(
    train=(
        "How many {small} are {n} {large} and {r} {small}?",
        "Convert {n} {large} and {r} {small} to {small}.",
        "{name} wrote down {n} {large} and {r} {small}. How many {small} is that?",
        "{n} {large} + {r} {small} = how many {small}?",
        "In the notes of {name} stands: {n} {large}, {r} {small}. Give the whole amount in {small}.",
        '"It is {n} {large} and another {r} {small}," says {name}. How many {small} does that make?',
        "{name} adds {r} {small} to {n} {large}. What is the sum in {small}?",
        "On page {d} of a book {name} reads of {n} {large} and {r} {small}. How many {small} does the book mean?",
    ),
    validation=(
        "{name} has to enter {n} {large} and {r} {small} into a form that accepts nothing but {small}. What number is "
        "entered?",
        "Counted in {small}, what do {n} {large} plus {r} {small} come to for {name}?",
        "Given to {name}: {large}: {n}, {small}: {r}. Wanted: {small} only.",
    ),
    test=(
        'The old sign said "{n} {large} {r} {small}". {name} paints a new one that uses {small} alone. Which number '
        "belongs on it?",
        "If {name} exchanges every one of {n} {large} for {small} and puts {r} {small} beside them, what count of "
        "{small} results?",
        '"Why not put it in {small}?" asks {name}, on hearing of {n} {large} and {r} {small}. Please do so.',
        "Exercise {d} for {name}: something is {r} {small} more than {n} {large}. Express it in {small}.",
    ),
)


def _draft(rng: Random, own: SplitVocabulary, wording: str) -> Draft:
    large, small, factor = rng.choice(UNITS)
    n = rng.randint(2, max(3, min(12, 200 // factor)))
    r = rng.randint(2, max(2, factor - 1))
    text = wording.format(large=large, small=small, n=n, r=r, name=rng.choice(own.names), d=rng.randint(20, 90))
    product = n * factor
    solution = f"{n} * {factor} = {product}. {product} + {r} = {product + r}."
    return Draft(text, str(product + r), solution, near(rng, product + r, product))


TASK = worded("measures", "number", ("multiplication", "addition", "units"), _draft, WORDINGS)
