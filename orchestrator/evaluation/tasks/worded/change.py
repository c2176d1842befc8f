"""Two prices, paid with a note: how many dollars come back?"""

from __future__ import annotations

from random import Random

from orchestrator.evaluation.tasks.task import Draft
from orchestrator.evaluation.tasks.worded.vocabulary import SplitVocabulary, article
from orchestrator.evaluation.tasks.worded.wording import Wordings, near, worded

WORDINGS = Wordings(
    train=(
        "{name} buys {an_x} for {p} dollars and {a_y} for {q} dollars and pays with a {note} dollar note. How many "
        "dollars of change does {name} get?",
        "The {x} costs {p} dollars, the {y} {q} dollars. {name} gives the cashier {note} dollars. How many dollars "
        "come back?",
        "How many dollars are returned to {name}, who pays with {note} dollars for {an_x} at {p} dollars and {a_y} at "
        "{q} dollars?",
        "Paid by {name}: {note} dollars. Bought: {an_x}, {p} dollars; {a_y}, {q} dollars. Change in dollars?",
        '"That makes {p} dollars for the {x} and {q} dollars for the {y}," says the seller. {name} puts down {note} '
        "dollars. What is the change in dollars?",
        "With {note} dollars in hand, {name} enters a shop, takes {a_y} for {q} dollars and then {an_x} for {p} "
        "dollars, and pays. How many dollars does {name} have afterwards?",
        "The shop closes in {d} minutes. {name} still gets {an_x}, which costs {p} dollars, and {a_y}, which costs {q} "
        "dollars. The note on the counter is worth {note} dollars. How many dollars of it does the cashier give back?",
        "For {an_x} {p} dollars are asked, and for {a_y} {q} dollars. {name} has a {note} dollar note. What remains of "
        "it after paying, in dollars?",
    ),
    validation=(
        "A {note} dollar bill is all that {name} carries. When {p} dollars have gone for {an_x} plus {q} dollars for "
        "{a_y}, what amount in dollars goes back into the pocket?",
        "Till: {x} {p}, {y} {q}, received from {name} {note}. All amounts are dollars. Amount to return?",
        "What does the cashier owe {name}, in dollars, once {note} dollars have been accepted for two goods priced {p} "
        "dollars ({x}) and {q} dollars ({y})?",
    ),
    test=(
        "{name} chose {a_y}, {q} dollars, then {an_x}, {p} dollars, and held out {note} dollars at the desk. The clerk "
        "opens the box: how many dollars should the clerk pass to {name}?",
        '"Can you break a {note}?" asks {name}, wanting only {an_x} ({p} dollars) and {a_y} ({q} dollars). "Sure," '
        "says the clerk. How many dollars does {name} walk away with?",
        "Of the {note} dollars that {name} was sent {d} weeks ago, {p} dollars went on {an_x}; {a_y} took another {q} "
        "dollars. The rest was saved. Say how many dollars were saved.",
        "Two stickers on the goods read {p} dollars and {q} dollars, one on {an_x}, the other on {a_y}. Both are "
        "settled by {name} using {note} dollars. By how many dollars was this too much?",
    ),
)


def _draft(rng: Random, own: SplitVocabulary, wording: str) -> Draft:
    x, y = rng.sample(own.things, 2)
    note = rng.choice((20, 50, 50, 100))
    p = rng.randint(2, note // 2)
    q = rng.randint(2, note - p - 2)
    text = wording.format(
        name=rng.choice(own.names), x=x, y=y, an_x=article(x), a_y=article(y), p=p, q=q, note=note,
        d=rng.randint(3, 9),
    )  # fmt: skip
    left = note - p - q
    return Draft(text, str(left), f"{p} + {q} = {p + q}. {note} - {p + q} = {left}.", near(rng, left, p + q))


TASK = worded("change", "number", ("addition", "subtraction", "money"), _draft, WORDINGS)
