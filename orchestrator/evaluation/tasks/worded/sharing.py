"""Two amounts put together and shared equally: how large is one share?"""

from __future__ import annotations

from random import Random

from orchestrator.evaluation.tasks.task import Draft
from orchestrator.evaluation.tasks.worded.vocabulary import SplitVocabulary
from orchestrator.evaluation.tasks.worded.wording import Wordings, near, worded

WORDINGS = Wordings(
    train=(
        "{name} has {a} {thing}s and gets {b} more. All of them are shared equally among {n} friends. How many "
        "{thing}s does each friend get?",
        "{n} children share {a} {thing}s from {name} and {b} {thing}s from {other} equally. How many {thing}s does "
        "every child receive?",
        "How many {thing}s will each of {n} people get, if {name} brings {a} {thing}s, {other} brings {b}, and all are "
        "split evenly?",
        "Morning: {name} finds {a} {thing}s. Evening: {b} more. All are divided into {n} equal parts. How many "
        "{thing}s are in one part?",
        '"Here are my {a} {thing}s," says {name}. "And here are my {b}," says {other}. The {thing}s are put together '
        "and dealt out to {n} players in equal numbers. How many {thing}s does a player hold?",
        "{b} {thing}s are red and {a} are blue. {name} puts all of them into {n} boxes, the same number into each. How "
        "many {thing}s are in a box?",
        "{name} is {d} years old today. On the table there are {a} {thing}s from last week and {b} new ones, and {n} "
        "guests divide them fairly. How many {thing}s does one guest take home?",
        "A box with {a} {thing}s and a box with {b} {thing}s are emptied by {name} onto {n} plates, so that every "
        "plate has equally many. How many {thing}s lie on each plate?",
    ),
    validation=(
        "The {a} {thing}s of {name} and the {b} {thing}s of {other} are to fill {n} shelves with equal counts. What "
        "number goes on a shelf?",
        "After {a} {thing}s had been collected by {name} and {b} by {other}, the teacher handed them to {n} groups, "
        "each group being given as many as the next. What was the share of a group?",
        "Plan of {name}: first pile {a} {thing}s, second pile {b} {thing}s, receivers {n}, all alike. Share of one "
        "receiver?",
    ),
    test=(
        "What is a fair share when {n} cousins take over the {a} old and {b} new {thing}s that {name} no longer needs?",
        "{name} pours {a} {thing}s into a trunk where {b} lay already, and afterwards clears the trunk out for {n} "
        "neighbours. Nobody is given more than anybody else. With how many {thing}s does a neighbour leave?",
        '"We are {n} at this table, and nobody should be jealous," says {name}. "I count {a} {thing}s here and {b} '
        'over there." What number of {thing}s is right for one person?',
        "Two gifts reach a class with {n} teams: {b} {thing}s, sent by {other}, and {d} days later another {a}, sent "
        "by {name}. Every team is treated the same. State how many {thing}s a team ends up with.",
    ),
)


def _draft(rng: Random, own: SplitVocabulary, wording: str) -> Draft:
    name, other = rng.sample(own.names, 2)
    n, each = rng.randint(2, 9), rng.randint(2, 12)
    total = n * each
    if total < 5:
        n, total = 3, 3 * each
    a = rng.randint(2, total - 2)
    b = total - a
    text = wording.format(
        name=name, other=other, thing=rng.choice(own.things), a=a, b=b, n=n, d=rng.randint(5, 12)
    )  # fmt: skip
    return Draft(text, str(each), f"{a} + {b} = {total}. {total} / {n} = {each}.", near(rng, each, total))


TASK = worded("sharing", "number", ("division", "addition"), _draft, WORDINGS)
