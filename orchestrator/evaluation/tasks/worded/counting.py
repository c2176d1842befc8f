"""How many of six to eight numbers or words have a property? From one to five of them do, each as often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from orchestrator.evaluation.tasks.task import Draft
from orchestrator.evaluation.tasks.worded.vocabulary import SplitVocabulary
from orchestrator.evaluation.tasks.worded.wording import Wordings, worded

_TRAIN = (
    "are greater than {k}",
    "are less than {k}",
    "are even",
    "begin with the letter {k}",
    "end with the letter {k}",
)
_VALIDATION = ("lie above {k}", "lie below {k}", "can be divided by 2", "have {k} as first letter",
               "have {k} as last letter")  # fmt: skip
_TEST = ("exceed {k}", "are smaller than {k}", "are multiples of two", "start with {k}", "finish with {k}")
WORDINGS = Wordings(
    train=tuple(
        (text, _TRAIN)
        for text in (
            "How many of these {kind} {do}: {items}?",
            "Count the {kind} that {do}: {items}.",
            "{name} writes down {items}. How many of these {kind} {do}?",
            "List: {items}. Number of {kind} that {do}?",
            '"Show me all {kind} that {do}," says {name}. The list is {items}. How many {kind} are shown?',
            "Here are some {kind}: {items}. How many {do}?",
            "On page {d} there are the {kind} {items}. {name} circles those that {do}. How many circles are there?",
            "{name} gets one point for each of the {kind} that {do}. The {kind} are {items}. How many points is that?",
        )
    ),
    validation=tuple(
        (text, _VALIDATION)
        for text in (
            "Out of {items}, {name} strikes all {kind} that {do}. What number of {kind} is struck?",
            "Given the {kind} {items}, find what number of them {do}.",
            "A bag holds slips with the {kind} {items}. What number of slips show {kind} that {do}?",
        )
    ),
    test=tuple(
        (text, _TEST)
        for text in (
            "{name} lets through a gate only {kind} that {do}. In the line wait {items}. How many pass?",
            '"There are some that {do}," remarks {name} about the {kind} {items}. Exactly what count is meant?',
            "Going through {items} one by one, {name} makes a mark beside all {kind} that {do}. With how many marks "
            "does this end?",
            "Row {d} of a table contains {items}. Ignore the {kind} in it unless they {do}. What is the count of those "
            "that stay?",
        )
    ),
)


def _draft(rng: Random, own: SplitVocabulary, wording: tuple[str, tuple[str, ...]]) -> Draft:
    text, properties = wording
    place, length, wanted = rng.randrange(5), rng.randint(6, 8), rng.randint(1, 5)
    numbers = place < 3
    ends = Counter(word[0 if place == 3 else -1] for word in own.words)
    k = str(rng.randint(20, 80)) if numbers else rng.choice([letter for letter, often in ends.items() if often >= 5])
    have = _rule(place, k)
    everything = [str(number) for number in range(2, 100) if str(number) != k] if numbers else list(own.words)
    hits = rng.sample([one for one in everything if have(one)], wanted)
    items = hits + rng.sample([one for one in everything if not have(one)], length - wanted)
    rng.shuffle(items)
    found = [one for one in items if have(one)]
    question = text.format(
        kind="numbers" if numbers else "words", do=properties[place].format(k=k), items=", ".join(items),
        name=rng.choice(own.names), d=rng.randint(100, 200),
    )  # fmt: skip
    solution = " ".join(f"{count}: {one}." for count, one in enumerate(found, start=1)) + f" Count: {wanted}."
    return Draft(question, str(wanted), solution, str(wanted + rng.choice((-1, 1, 2))))


def _rule(place: int, k: str) -> Callable[[str], bool]:
    return (
        lambda one: int(one) > int(k),
        lambda one: int(one) < int(k),
        lambda one: int(one) % 2 == 0,
        lambda one: one.startswith(k),
        lambda one: one.endswith(k),
    )[place]


TASK = worded("counting", "number", ("counting", "letters", "comparison"), _draft, WORDINGS)
