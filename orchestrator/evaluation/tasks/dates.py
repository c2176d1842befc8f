"""Date arithmetic: which date is n days before or after another, in MM/DD/YYYY (no leap years)."""

from __future__ import annotations

from random import Random

from orchestrator.evaluation.tasks.task import Draft, Task

_MONTH_NAMES = "January February March April May June July August September October November December"
_MONTHS = tuple(_MONTH_NAMES.split())
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_YEARS = (2017, 2018, 2019, 2021, 2022, 2023)


def _written(month: int, day: int, year: int) -> str:
    return f"{month + 1:02d}/{day:02d}/{year}"


def _draft(rng: Random) -> Draft:
    month, year, days, later = rng.randrange(12), rng.choice(_YEARS), rng.randint(1, 25), rng.random() < 0.6
    day = rng.randint(1, _DAYS[month])
    if later:
        result, solution = _add(month, day, year, days)
    else:
        result, solution = _subtract(month, day, year, days)
    other = (result[0], max(1, min(28, result[1] + rng.choice((-2, -1, 1, 2)))), result[2])
    if other == result:
        other = ((result[0] + 1) % 12, result[1], result[2])
    span = f"{days} day{'s' if days > 1 else ''} {'after' if later else 'before'}"
    text = f"What is the date {span} {_written(month, day, year)} (MM/DD/YYYY)?"
    return Draft(text, _written(*result), solution, _written(*other))


def _add(month: int, day: int, year: int, days: int) -> tuple[tuple[int, int, int], str]:
    total, length = day + days, _DAYS[month]
    solution = f"{day} + {days} = {total}. {_MONTHS[month]} has {length} days."
    if total <= length:
        return (month, total, year), solution + " Same month."
    after = (month + 1) % 12
    solution += f" {total} - {length} = {total - length}. Next month: {_MONTHS[after]}."
    return (after, total - length, year + (month == 11)), solution


def _subtract(month: int, day: int, year: int, days: int) -> tuple[tuple[int, int, int], str]:
    if days < day:
        return (month, day - days, year), f"{day} - {days} = {day - days}. Same month."
    before = (month - 1) % 12
    length, missing = _DAYS[before], days - day
    solution = f"{days} - {day} = {missing}. Month before: {_MONTHS[before]}, {length} days. "
    solution += f"{length} - {missing} = {length - missing}."
    return (before, length - missing, year - (month == 0)), solution


TASK = Task("dates", "text", ("date arithmetic", "calendar"), _draft)
