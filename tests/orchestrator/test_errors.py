"""Errors: what each means to a client, across processes, and which one speaks for many."""

from __future__ import annotations

import pickle

import pytest

from orchestrator import errors
from orchestrator.errors import (
    CollegiumError,
    ExpertFailed,
    NoAnswer,
    Overloaded,
    PromptTooLong,
    RateLimited,
    no_answer,
)

EVERY = list(errors.every_error())


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_each_travels_between_processes_with_all_that_it_says(kind: type[CollegiumError]) -> None:
    error = kind("what, where, what to do", retry_after=7.0)
    found = pickle.loads(pickle.dumps(error))
    assert (type(found), str(found), found.retry_after) == (kind, str(error), 7.0)
    other = error.with_message("other words")
    assert (type(other), str(other), other.retry_after) == (kind, "other words", 7.0)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = (errors.__doc__ or "").replace("│", " ").replace("├──", " ").replace("└──", " ").split("\n\n")
    names = {line.split()[0] for part in drawn for line in part.splitlines() if line.strip()}
    assert {kind.__name__ for kind in EVERY} <= names


@pytest.mark.parametrize(("retry_after", "wait"), [(0.2, 1), (7.2, 8), (1e9, 86_400)])
def test_a_client_waits_whole_seconds_within_bounds(retry_after: float, wait: int) -> None:
    assert Overloaded("busy", retry_after).wait == wait
    assert PromptTooLong("long").wait is None


def test_where_all_failed_the_callers_own_mistake_is_said_as_one() -> None:
    assert isinstance(no_answer({"a": PromptTooLong("x"), "b": PromptTooLong("y")}), PromptTooLong)
    assert isinstance(no_answer({}), NoAnswer)
    busy = no_answer({"a": Overloaded("x", 9.0), "b": Overloaded("y", 3.0)})
    assert (type(busy), busy.retry_after) == (Overloaded, 3.0)
    mixed = no_answer(
        {"a": PromptTooLong("long"), "b": RateLimited("slow", retry_after=5.0), "c": ExpertFailed("gone")}
    )
    assert isinstance(mixed, NoAnswer)
    assert "a: PromptTooLong: long; b: RateLimited: slow; c: ExpertFailed: gone" in str(mixed)
    assert mixed.retry_after == 5.0
