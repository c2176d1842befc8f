"""Two-step arithmetic word problems, in the manner of MultiArith."""

from __future__ import annotations

from random import Random

from orchestrator.evaluation.tasks.task import Draft, Task
from orchestrator.evaluation.tasks.words import NAMES, THINGS


def _draft(rng: Random) -> Draft:
    return rng.choice((_bags, _give_then_get, _share, _sell, _two_kinds, _each_eats))(rng)


def _finish(question: str, solution: str, result: int, rng: Random) -> Draft:
    offset = rng.choice((-10, -3, -2, -1, 1, 2, 3, 10))
    wrong = result + offset if result + offset >= 0 else result - offset
    return Draft(question, str(result), solution, str(wrong))


def _bags(rng: Random) -> Draft:
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    have, bags, each = rng.randint(3, 60), rng.randint(2, 9), rng.randint(2, 9)
    text = f"{name} has {have} {thing}. {name} buys {bags} bags with {each} {thing} in each bag. "
    text += f"How many {thing} does {name} have now?"
    total = bags * each
    return _finish(text, f"{bags} * {each} = {total}. {have} + {total} = {have + total}.", have + total, rng)


def _give_then_get(rng: Random) -> Draft:
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    have, found = rng.randint(10, 60), rng.randint(2, 40)
    given = rng.randint(1, have - 1)
    text = f"{name} had {have} {thing}. {name} gave away {given} and then found {found} more. "
    text += f"How many {thing} does {name} have now?"
    left = have - given
    return _finish(text, f"{have} - {given} = {left}. {left} + {found} = {left + found}.", left + found, rng)


def _share(rng: Random) -> Draft:
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    friends, each = rng.randint(2, 9), rng.randint(2, 9)
    total = friends * each
    first = rng.randint(1, total - 1)
    text = f"{name} picked {first} {thing} in the morning and {total - first} in the evening, "
    text += f"and shared all of them equally among {friends} friends. How many {thing} did each friend get?"
    return _finish(text, f"{first} + {total - first} = {total}. {total} / {friends} = {each}.", each, rng)


def _sell(rng: Random) -> Draft:
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    boxes, each = rng.randint(3, 9), rng.randint(3, 9)
    total = boxes * each
    sold = rng.randint(1, total - 1)
    text = f"{name} packed {boxes} boxes with {each} {thing} each and sold {sold} {thing}. "
    text += f"How many {thing} are left?"
    return _finish(text, f"{boxes} * {each} = {total}. {total} - {sold} = {total - sold}.", total - sold, rng)


def _two_kinds(rng: Random) -> Draft:
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    count, price, other = rng.randint(2, 9), rng.randint(2, 9), rng.randint(3, 40)
    total = count * price
    text = f"{name} bought {count} {thing} for {price} dollars each and a hat for {other} dollars. "
    text += f"How many dollars did {name} spend?"
    return _finish(text, f"{count} * {price} = {total}. {total} + {other} = {total + other}.", total + other, rng)


def _each_eats(rng: Random) -> Draft:
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    days, each, left = rng.randint(2, 9), rng.randint(2, 9), rng.randint(2, 40)
    total = days * each
    text = f"{name} had {total + left} {thing} and used {each} {thing} a day for {days} days. "
    text += f"How many {thing} remain?"
    return _finish(text, f"{days} * {each} = {total}. {total + left} - {total} = {left}.", left, rng)


TASK = Task("arithmetic", "number", ("arithmetic", "word problem"), _draft)
