"""Several full containers, of whose contents some are used: how many things are left?"""

from __future__ import annotations

from random import Random

from orchestrator.evaluation.tasks.task import Draft
from orchestrator.evaluation.tasks.worded.vocabulary import SplitVocabulary
from orchestrator.evaluation.tasks.worded.wording import Wordings, near, worded

WORDINGS = Wordings(
    train=(
        "{name} has {n} {box}s with {k} {thing}s in each. {name} uses {s} {thing}s. How many {thing}s are left?",
        "There are {k} {thing}s in every {box}, and {name} owns {n} {box}s. After {s} {thing}s have been given away, "
        "how many {thing}s remain?",
        "How many {thing}s does {name} still have after selling {s} of them, if there were {n} {box}s of {k} {thing}s "
        "at first?",
        "Stock: {n} {box}s, {k} {thing}s each. Used by {name}: {s}. How many {thing}s are in stock now?",
        "{s} {thing}s were lost on the way. {name} had packed {n} {box}s and put {k} {thing}s into each {box}. How "
        "many {thing}s arrived?",
        '"I filled {n} {box}s," says {name}, "and each {box} holds {k} {thing}s." Later {s} {thing}s are taken out. '
        "How many {thing}s stay in?",
        "In the kitchen of {name}, {d} chairs stand around a table. On the table are {n} {box}s of {k} {thing}s each. "
        "Guests take {s} {thing}s. How many {thing}s are on the table then?",
        "{name} opens {n} full {box}s. A full {box} has {k} {thing}s in it. Of all these {thing}s, {s} are broken. How "
        "many are whole?",
    ),
    validation=(
        "Out of {n} {box}s holding {k} {thing}s apiece, {name} handed {s} {thing}s to the neighbours. What number of "
        "{thing}s did {name} keep?",
        "A shelf carries {n} {box}s; {name} knows that {k} {thing}s fit into one {box}, and all were full. Since then "
        "{s} {thing}s have gone. What number of {thing}s is there today?",
        "Delivery for {name}: {n} {box}s, contents per {box} {k} {thing}s. Sent back: {s} {thing}s. Number kept?",
    ),
    test=(
        "Each of the {n} {box}s that {name} brought home had room for {k} {thing}s and was filled to the top. By "
        "evening {s} {thing}s were missing. To what count does {name} come in the evening?",
        "Find out what is left over: {name} started with {n} times {k} {thing}s, every lot in a {box} of its own, and "
        "needed {s} for a school project.",
        '"Are there any {thing}s for me?" "Yes. We began with {n} {box}s, {k} {thing}s to the {box}, and {name} took '
        '{s} {thing}s." How many can still be had?',
        "{s} {thing}s: that is what {name} removed from a store of {n} {box}s, {d} days after they had been loaded "
        "with {k} {thing}s per {box}. How large is the rest?",
    ),
)


def _draft(rng: Random, own: SplitVocabulary, wording: str) -> Draft:
    n, k = rng.randint(2, 9), rng.randint(3, 12)
    total = n * k
    s = rng.randint(2, total - 2)
    text = wording.format(
        name=rng.choice(own.names), thing=rng.choice(own.things), box=rng.choice(own.containers), n=n, k=k, s=s,
        d=rng.randint(3, 8),
    )  # fmt: skip
    return Draft(
        text, str(total - s), f"{n} * {k} = {total}. {total} - {s} = {total - s}.", near(rng, total - s, total)
    )


TASK = worded("leftovers", "number", ("multiplication", "subtraction"), _draft, WORDINGS)
