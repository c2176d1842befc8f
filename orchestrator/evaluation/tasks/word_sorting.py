"""Word sorting, in the manner of BIG-Bench Hard: four or five common words into alphabetical order."""

from __future__ import annotations

from random import Random

from orchestrator.evaluation.tasks.task import Draft, Task
from orchestrator.evaluation.tasks.words import WORDS


def _draft(rng: Random) -> Draft:
    words: list[str] = []
    length = rng.choice((4, 5))
    while len(words) < length:
        word = rng.choice(WORDS)
        if all(word[0] != other[0] for other in words):
            words.append(word)
    ordered = sorted(words)
    first, second = rng.sample(range(length), 2)
    spoiled = list(ordered)
    spoiled[first], spoiled[second] = spoiled[second], spoiled[first]
    solution = f"First letters: {' '.join(word[0] for word in words)}. "
    solution += f"In order: {' '.join(word[0] for word in ordered)}."
    text = f"Sort these words into alphabetical order: {' '.join(words)}"
    return Draft(text, " ".join(ordered), solution, " ".join(spoiled))


TASK = Task("word_sorting", "text", ("sorting", "alphabet"), _draft)
