"""Four people with a thing each swap two or three times: who has which thing at the end?

A wording that names a person asks for the thing, one that names a thing asks for the person.
"""

from __future__ import annotations

from itertools import combinations
from random import Random

from orchestrator.evaluation.tasks.task import Draft
from orchestrator.evaluation.tasks.worded.vocabulary import SplitVocabulary
from orchestrator.evaluation.tasks.worded.wording import Wordings, worded

WORDINGS = Wordings(
    train=(
        ("{a} has the {x}", "{a} and {b} swap.", "{starts}. {swaps} What does {person} have at the end?"),
        ("{a} holds the {x}", "Then {a} and {b} swap what they hold.", "At the start {starts}. {swaps} Who holds the "
        "{thing} now?"),
        ("{a} gets the {x}", "{a} trades with {b}.", "In a game {starts}. {swaps} Which thing does {person} have now?"),
        ("{a}: {x}", "Swap {a} and {b}.", "Start: {starts}. {swaps} Who has the {thing}?"),
        ("the {x} is with {a}", "{a} and {b} exchange their things.", "First {starts}. {swaps} Where is the {thing} "
        "now? Give the name."),
        ("{a} carries the {x}", "{a} and {b} trade things with each other.", "What does {person} carry after all this? "
        "{starts}. {swaps}"),
        ("{a} brings the {x}", '"Let us swap," says {a} to {b}, and they do.', "On day {d} of the holidays {starts}. "
        "{swaps} What does {person} take home?"),
        ("{a} owns the {x}", "A swap of {a} and {b} follows.", "{starts}. {swaps} Who owns the {thing} after the last "
        "swap?"),
    ),
    validation=(
        ("{a} sits with the {x}", "{a} and {b} hand over what they have to one another.", "Four children play: "
        "{starts}. {swaps} Name the child who sits with the {thing} when the game stops."),
        ("the {x} belongs to {a}", "Next, {a} and {b} make a switch.", "Before the fair {starts}. {swaps} After the "
        "fair, what belongs to {person}?"),
        ("{a} = {x}", "{a} <-> {b}.", "Table: {starts}. Changes: {swaps} Final entry for {person}?"),
    ),
    test=(
        ("the {x} lies before {a}", "The plates of {a} and {b}, with all that is on them, change places.", "At dinner "
        "every plate bears a gift: {starts}. {swaps} Look at the table again and name what lies before {person}."),
        ("{a} was given the {x}", "{a} preferred the gift of {b}, and the two made a deal to give up theirs for the "
        "other.", "{starts}. {swaps} Whose is the {thing} in the end?"),
        ("{a} picks up the {x}", "{a} passes on to {b} whatever {a} is carrying, and receives the item of {b} for it.",
        "It is {d} o'clock. {starts}. {swaps} When the bell rings, which item is in the hands of {person}?"),
        ("{x} to {a}", "{a} and {b}, switch!", "Cards with pictures are dealt: {starts}. The caller shouts: {swaps} "
        "Find the player who finishes with the {thing} card."),
    ),
)  # fmt: skip


def _draft(rng: Random, own: SplitVocabulary, wording: tuple[str, str, str]) -> Draft:
    start, swap, text = wording
    people, things = rng.sample(own.names, 4), rng.sample(own.things, 4)
    holds = dict(zip(people, things, strict=True))
    starts = ", ".join(start.format(a=name, x=holds[name]) for name in people)
    swaps: list[str] = []
    steps: list[str] = []
    pair = ("", "")
    for _ in range(rng.choice((2, 3))):
        pair = rng.choice([found for found in combinations(people, 2) if found != pair])
        one, other = rng.sample(pair, 2)
        holds[one], holds[other] = holds[other], holds[one]
        swaps.append(swap.format(a=one, b=other))
        steps.append(f"{one} {holds[one]}, {other} {holds[other]}.")
    person = rng.choice(people)
    question = text.format(
        starts=starts, swaps=" ".join(swaps), person=person, thing=holds[person], d=rng.randint(2, 9)
    )
    answer, all_of_them = (holds[person], things) if "{person}" in text else (person, people)
    solution = f"{' '.join(steps)} {person} has {holds[person]}."
    return Draft(question, answer, solution, rng.choice([one for one in all_of_them if one != answer]))


TASK = worded("tracking", "text", ("swapping", "order"), _draft, WORDINGS)
