"""Routers that are judged side by side: each fitted for every seed, several at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from router.crossfit import Fit
from router.nested import NestedFits
from router.ranking import Scores
from router.recruiting import RecruitRule
from router.trial import RoutingTrial, crossfitted

MAX_THREADS = 8


@dataclass(frozen=True, slots=True)
class RouterCandidate:
    """A router by name: how a seed makes it, and how experts are recruited from it."""

    name: str
    make: Callable[[int], Fit]
    how: RecruitRule = "topk"
    seeded: bool = True
    """Whether the seed changes what is made: where not, one fit serves all seeds."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What one candidate said, by routers that were not fitted on what they scored."""

    runs: tuple[Scores, ...]
    """Of the tested questions, one per seed."""
    held_out: Scores
    """Of the fitted questions, to fit votes with."""
    seconds: float
    """Per question scored."""


def judged(
    what: RoutingTrial,
    candidates: Sequence[RouterCandidate],
    seeds: int,
    votes: bool,
    report: Callable[[str], None] = lambda name: None,
) -> Iterator[tuple[RouterCandidate, Trained]]:
    """Each candidate with its scores, in order. `votes`: held-out scores are needed; `report` receives each one's name.

    One thread per processor fits routers, and linear algebra keeps to one thread in each: on small matrices its own
    threads wait for each other most of the time, thirty times as long as they compute beside other work.
    """
    from threadpoolctl import threadpool_limits

    threads = max(1, min(MAX_THREADS, os.cpu_count() or 1))
    with threadpool_limits(1), ThreadPoolExecutor(threads, initializer=_alone) as pool:
        nested = [what.nested(seed) for seed in range(seeds)]
        fitted = nested[0] if votes and what.fit is not None else None
        waiting = [_submitted(pool, what, candidate, nested, fitted) for candidate in candidates]
        try:
            for candidate, (runs, held_out) in zip(candidates, waiting, strict=True):
                report(candidate.name)
                found = [run.result() for run in runs]
                per_question = sum(seconds for _, seconds in found) / (len(found) * len(what.test.rows))
                scores = tuple(one for one, _ in found)
                scores = scores if len(scores) == seeds else scores * seeds
                yield candidate, Trained(scores, held_out.result()[0] if held_out else scores[0], per_question)
        finally:
            pool.shutdown(cancel_futures=True)


def _alone() -> None:
    """OpenMP counts its threads for each of ours apart."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, user_api="openmp")


Timed = tuple[Scores, float]
_Waiting = tuple[list[Future[Timed]], Future[Timed] | None]


def _submitted(
    pool: ThreadPoolExecutor,
    what: RoutingTrial,
    candidate: RouterCandidate,
    nested: Sequence[NestedFits],
    held_out: NestedFits | None,
) -> _Waiting:
    # Under cross-validation the seed decides the folds too.
    different = len(nested) if candidate.seeded or what.fit is None else 1
    runs = [pool.submit(what.scores, candidate.make(seed), nested[seed]) for seed in range(different)]
    return runs, None if held_out is None else pool.submit(crossfitted, candidate.make(0), held_out)
