"""A clock time and a number of minutes: what time is it then? Hours have two digits and no day ends in between."""

from __future__ import annotations

from random import Random

from orchestrator.evaluation.tasks.task import Draft
from orchestrator.evaluation.tasks.worded.vocabulary import SplitVocabulary
from orchestrator.evaluation.tasks.worded.wording import Wordings, worded

WORDINGS = Wordings(
    train=(
        "The {event} starts at {start} and lasts {m} minutes. At what time (HH:MM) does it end?",
        "{name} leaves home at {start}. The way takes {m} minutes. When does {name} arrive? Answer as HH:MM.",
        "What time is it {m} minutes after {start}? Write HH:MM.",
        "Start: {start}. Length of the {event}: {m} minutes. End (HH:MM)?",
        '"It is {start} now," says {name}. "The {event} begins in {m} minutes." At what time (HH:MM) does it begin?',
        "{m} minutes are needed for the {event}. {name} begins at {start}. At what time is {name} ready? Use HH:MM.",
        "{name} waits with {d} other people. The clock shows {start}, and the {event} is {m} minutes away. What will "
        "the clock show (HH:MM) when it begins?",
        "A cake is put into the oven by {name} at {start} and must bake for {m} minutes. At what time (HH:MM) is it "
        "taken out?",
    ),
    validation=(
        "The {event} was to open at {start} but is delayed by {m} minutes. Give the new time in the form HH:MM.",
        "{name} set a timer of {m} minutes when the watch read {start}. What does the watch read, as HH:MM, at the "
        "ring?",
        "Plan of {name}: {event}, from {start}, {m} minutes. Until when (HH:MM)?",
    ),
    test=(
        "{name} fell asleep at {start} and woke up {m} minutes later. Name the moment of waking as HH:MM.",
        '"How long is the {event}?" "{m} minutes, and we were let in at {start}." When should {name} expect to come '
        "out? Reply with HH:MM.",
        "Since one has to allow {m} minutes for the {event}, somebody who, like {name}, gets going at {start} will be "
        "through with it by which hour and minute (HH:MM)?",
        "Bus number {d} pulls out at {start}. It rolls into the station where {name} stands after a ride of {m} "
        "minutes. Which arrival, written HH:MM, does the board there announce?",
    ),
)


def _draft(rng: Random, own: SplitVocabulary, wording: str) -> Draft:
    hour, minute, m = rng.randint(10, 21), rng.randint(0, 59), rng.randint(5, 59)
    text = wording.format(
        name=rng.choice(own.names), event=rng.choice(own.events), start=_clock(hour, minute), m=m,
        d=rng.randint(2, 9),
    )  # fmt: skip
    total = minute + m
    solution, end = f"{minute} + {m} = {total}.", _clock(hour, total)
    if total >= 60:
        solution += f" {total} - 60 = {total - 60}. {hour} + 1 = {hour + 1}."
        end = _clock(hour + 1, total - 60)
    missed = (hour + rng.choice((-1, 1)), total % 60) if rng.random() < 0.5 else (hour, (total + 10) % 60)
    wrong = _clock(*missed)
    return Draft(text, end, f"{solution} Time: {end}.", wrong if wrong != end else _clock(hour, (total + 5) % 60))


def _clock(hour: int, minute: int) -> str:
    return f"{hour}:{minute:02d}"


TASK = worded("durations", "text", ("time", "addition"), _draft, WORDINGS)
