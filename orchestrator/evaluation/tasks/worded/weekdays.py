"""Which day of the week is n days after or before another?"""

from __future__ import annotations

from random import Random

from orchestrator.evaluation.tasks.task import Draft
from orchestrator.evaluation.tasks.worded.vocabulary import SplitVocabulary
from orchestrator.evaluation.tasks.worded.wording import Wordings, worded

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
AFTER, BEFORE = 1, -1

WORDINGS = Wordings(
    train=(
        (AFTER, "Today is {day}. Which day of the week is it in {n} days?"),
        (AFTER, "The {event} is {n} days after a {day}. On which weekday is it?"),
        (AFTER, "Which weekday comes {n} days after {day}?"),
        (AFTER, '"I will be back in {n} days," says {name} on a {day}. On which day of the week is {name} back?'),
        (AFTER, "Start: {day}. Add {n} days. Which weekday is it then?"),
        (BEFORE, "Today is {day}. Which day of the week was it {n} days ago?"),
        (BEFORE, "The {event} was {n} days before a {day}. On which weekday was it?"),
        (BEFORE, "Which weekday comes {n} days before {day}?"),
        (BEFORE, '"I arrived {n} days ago," says {name} on a {day}. On which day of the week was that?'),
        (BEFORE, "The {event} takes place on a {day}. {name} bought a ticket {n} days earlier. Which weekday was it?"),
    ),
    validation=(
        (AFTER, "{name} was promised a parcel in {n} days, counted from {day}. Name the day on which it comes."),
        (AFTER, "Deadline of {name}: {n} days from now. Now: {day}. Weekday of the deadline?"),
        (BEFORE, "When the {event} took place on a {day}, {name} had been waiting for it for {n} days. Name the day "
        "on which the waiting began."),
        (BEFORE, "Go back {n} days from {day}: what weekday do you reach?"),
    ),
    test=(
        (AFTER, "It is {day} when {name} plants a seed, and {n} days pass until the first leaf shows. What does the "
        "calendar say then?"),
        (AFTER, '"Is the {event} soon?" asks {name}. "We have {n} more nights to sleep, and this is a {day}." Tell '
        "{name} the weekday of the {event}."),
        (BEFORE, "This {day}, the {event} lies {n} days in the past. What day did it fall on?"),
        (BEFORE, "{name}, who lives at number {d}, reads a letter on {day}. According to the stamp it was posted {n} "
        "days sooner. Find the weekday of posting."),
    ),
)  # fmt: skip


def _draft(rng: Random, own: SplitVocabulary, wording: tuple[int, str]) -> Draft:
    step, text = wording
    start, n = rng.randrange(7), rng.choice((2, 3, 4, 5, 6, 8, 9, 10, 11, 12))
    rest = n % 7
    passed = [DAYS[(start + step * (place + 1)) % 7] for place in range(rest)]
    solution = f"{n} - 7 = {rest}. " if n > 7 else ""
    solution += f"{DAYS[start]}: {', '.join(f'{place} {day}' for place, day in enumerate(passed, start=1))}."
    question = text.format(
        day=DAYS[start], n=n, name=rng.choice(own.names), event=rng.choice(own.events), d=rng.randint(2, 60)
    )
    wrong = DAYS[(start + step * rest + rng.choice((-1, 1, 2))) % 7]
    return Draft(question, passed[-1], solution, wrong)


TASK = worded("weekdays", "text", ("time", "counting", "order"), _draft, WORDINGS)
