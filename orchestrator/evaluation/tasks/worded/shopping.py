"""Several things at one price and one thing at another: what does all of it cost?"""

from __future__ import annotations

from random import Random

from orchestrator.evaluation.tasks.task import Draft
from orchestrator.evaluation.tasks.worded.vocabulary import SplitVocabulary, article
from orchestrator.evaluation.tasks.worded.wording import Wordings, near, worded

WORDINGS = Wordings(
    train=(
        "{name} buys {n} {thing}s at {p} dollars each and {an_extra} for {q} dollars. How many dollars does {name} "
        "spend?",
        "Each {thing} costs {p} dollars. {name} takes {n} of them, and also {an_extra} for {q} dollars. What is the "
        "total in dollars?",
        "How many dollars must {name} pay for {n} {thing}s, if one {thing} costs {p} dollars, and {an_extra} for {q} "
        "dollars is bought as well?",
        "Shopping list of {name}: {n} {thing}s ({p} dollars each), {an_extra} ({q} dollars). Total in dollars?",
        '{name} says: "I want {n} {thing}s." The seller answers: "They are {p} dollars apiece." {name} adds {an_extra} '
        "for {q} dollars. How many dollars is that in all?",
        "For {q} dollars {name} picks {an_extra}. Then {n} {thing}s go into the bag, and every {thing} has a price of "
        "{p} dollars. What does everything cost, in dollars?",
        "It is raining, so {name} goes into a shop and stays for {d} minutes. There {n} {thing}s are bought at {p} "
        "dollars each, and {an_extra} at {q} dollars. How many dollars are spent in the shop?",
        "A label says {p} dollars per {thing}. {name} needs {n} {thing}s. There is also {an_extra} at {q} dollars in "
        "the cart. How much is due at the till, in dollars?",
    ),
    validation=(
        "The bill of {name} has two lines: {n} times one {thing}, {p} dollars a piece; once {an_extra}, {q} dollars. "
        "What is its sum in dollars?",
        "What will {name} be charged, in dollars, when {an_extra} at {q} dollars and {n} {thing}s at {p} dollars per "
        "piece are put on one bill?",
        "{n} {thing}s were ordered by {name}; the shop asks {p} dollars for every one of them. The parcel also holds "
        "{an_extra} worth {q} dollars. Find the whole price in dollars.",
    ),
    test=(
        "At the market, open since {d} o'clock, {thing}s sell for {p} dollars a piece. After choosing {n} and adding "
        "{an_extra} priced at {q} dollars, what sum in dollars does {name} hand over?",
        '"How much do I owe you?" asks {name}. "{q} dollars for the {extra}, and {p} dollars for each of the {n} '
        '{thing}s." What does {name} owe, in dollars?',
        "Receipt\n{n} x {thing} @ {p}\n1 x {extra} @ {q}\nAll prices are in dollars. What did {name} pay?",
        "{name} went home with {n} {thing}s and {an_extra}. The {extra} alone had cost {q} dollars, while every single "
        "{thing} had cost {p}. Work out the amount of dollars that left the purse of {name}.",
    ),
)


def _draft(rng: Random, own: SplitVocabulary, wording: str) -> Draft:
    thing, extra = rng.sample(own.things, 2)
    n, p, q = rng.randint(2, 9), rng.randint(2, 12), rng.randint(3, 40)
    text = wording.format(
        name=rng.choice(own.names), thing=thing, extra=extra, an_extra=article(extra), n=n, p=p, q=q,
        d=rng.randint(6, 9),
    )  # fmt: skip
    goods = n * p
    solution = f"{n} * {p} = {goods}. {goods} + {q} = {goods + q}."
    return Draft(text, str(goods + q), solution, near(rng, goods + q, goods))


TASK = worded("shopping", "number", ("multiplication", "addition", "money"), _draft, WORDINGS)
