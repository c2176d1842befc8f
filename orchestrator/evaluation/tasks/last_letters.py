"""Last-letter concatenation (Wei et al. 2022, https://arxiv.org/abs/2201.11903), with three or four first names."""

from __future__ import annotations

from random import Random

from orchestrator.evaluation.tasks.task import Draft, Task
from orchestrator.evaluation.tasks.words import NAMES


def _draft(rng: Random) -> Draft:
    names = rng.sample(NAMES, rng.choice((3, 4)))
    letters = [name[-1] for name in names]
    text = f'Take the last letters of the words in "{" ".join(names)}" and concatenate them.'
    solution = " ".join(f"{name}: {letter}." for name, letter in zip(names, letters, strict=True))
    spoiled = list(letters)
    place = rng.randrange(len(letters))
    spoiled[place] = rng.choice([letter for letter in "aeiklmnorsty" if letter != letters[place]])
    return Draft(text, "".join(letters), solution, "".join(spoiled))


TASK = Task("last_letters", "text", ("spelling", "letters"), _draft)
