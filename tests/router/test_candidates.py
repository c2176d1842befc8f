"""Routers side by side: each fitted for every seed that matters, in order, and timed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from router import Features, Table
from router.candidates import RouterCandidate, judged
from router.routers import BestRouter, RandomRouter
from router.trial import trial

World = tuple[Table, Features]


def test_each_seed_is_one_run_unless_the_seed_changes_nothing(fitted: World, unseen: World) -> None:
    made: list[tuple[str, int]] = []

    def maker(name: str, router: Any, **seeded: Any) -> Any:
        def make(seed: int) -> Any:
            made.append((name, seed))
            options = dict.fromkeys(seeded, seed)
            return lambda table, questions: router.fit(table, questions, **options)

        return make

    candidates = [
        RouterCandidate("random", maker("random", RandomRouter, seed=True)),
        RouterCandidate("best", maker("best", BestRouter), seeded=False),
    ]
    names: list[str] = []
    found = list(judged(trial(*unseen, fit=fitted), candidates, 3, votes=True, report=names.append))
    assert names == [candidate.name for candidate, _ in found] == ["random", "best"]
    random, best = (trained for _, trained in found)
    assert (len(random.runs), len(best.runs)) == (3, 3)
    assert not np.array_equal(random.runs[0].values, random.runs[1].values)
    assert best.runs[0] is best.runs[1] is best.runs[2]
    assert {seed for name, seed in made if name == "best"} == {0}
    assert random.held_out.values.shape == (len(fitted[0].rows), 4)
    assert random.runs[0].values.shape == (len(unseen[0].rows), 4)
    assert random.seconds > 0


def test_an_error_of_one_is_raised(fitted: World, unseen: World) -> None:
    def broken(table: Table, questions: Features) -> Any:
        raise ZeroDivisionError("broken")

    found = judged(trial(*unseen, fit=fitted), [RouterCandidate("broken", lambda seed: broken)], 1, votes=False)
    with pytest.raises(ZeroDivisionError, match="broken"):
        next(found)
