"""Tracking shuffled objects, in the manner of BIG-Bench Hard: three people, two or three swaps of coloured balls."""

from __future__ import annotations

from random import Random

from orchestrator.evaluation.tasks.task import Draft, Task
from orchestrator.evaluation.tasks.words import COLOURS, NAMES


def _draft(rng: Random) -> Draft:
    people, colours = rng.sample(NAMES, 3), rng.sample(COLOURS, 3)
    holds = dict(zip(people, colours, strict=True))
    text = "At the start " + ", ".join(f"{name} has the {holds[name]} ball" for name in people) + ". "
    steps = []
    previous: tuple[str, str] | None = None
    for _ in range(rng.choice((2, 3))):
        pair = _pair(rng, people, previous)
        previous = pair
        holds[pair[0]], holds[pair[1]] = holds[pair[1]], holds[pair[0]]
        text += f"{pair[0]} and {pair[1]} swap balls. "
        steps.append(", ".join(f"{name} {holds[name]}" for name in people) + ".")
    asked = rng.choice(people)
    text += f"Which ball does {asked} have at the end?"
    options = rng.sample(colours, 3)
    choices = dict(zip("ABC", options, strict=True))
    answer = "ABC"[options.index(holds[asked])]
    solution = f"{' '.join(steps)} {asked} has {holds[asked]}."
    return Draft(text, answer, solution, rng.choice([letter for letter in "ABC" if letter != answer]), choices)


def _pair(rng: Random, people: list[str], previous: tuple[str, str] | None) -> tuple[str, str]:
    """Two people in their order of appearance; never the pair that has just swapped."""
    while True:
        first, second = sorted(rng.sample(range(3), 2))
        if (people[first], people[second]) != previous:
            return people[first], people[second]


TASK = Task("shuffled_objects", "choice", ("tracking", "swapping"), _draft)
