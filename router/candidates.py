"""Routers that are judged side by side: each fitted for every seed, several at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from router.crossfit import Fit
from router.embedding import Features
from router.ranking import Ranking, Router, Scores
from router.recruiting import RecruitRule
from router.trial import RoutingTrial

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
        waiting = [_submitted(pool, what, candidate, seeds, votes) for candidate in candidates]
        try:
            for candidate, (clock, runs, held_out) in zip(candidates, waiting, strict=True):
                report(candidate.name)
                scores = tuple(run.result() for run in runs)
                scores = scores if len(scores) == seeds else scores * seeds
                yield candidate, Trained(scores, held_out.result() if held_out else scores[0], clock.per_question)
        finally:
            pool.shutdown(cancel_futures=True)


def _alone() -> None:
    """OpenMP counts its threads for each of ours apart."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, user_api="openmp")


_Waiting = tuple["_Clock", list[Future[Scores]], Future[Scores] | None]


def _submitted(
    pool: ThreadPoolExecutor, what: RoutingTrial, candidate: RouterCandidate, seeds: int, votes: bool
) -> _Waiting:
    clock = _Clock()
    # Under cross-validation the seed decides the folds too.
    different = seeds if candidate.seeded or what.fit is None else 1
    runs = [pool.submit(what.scores, clock.timed(candidate.make(seed)), seed) for seed in range(different)]
    if not votes or what.fit is None:
        return clock, runs, None
    return clock, runs, pool.submit(what.held_out_scores, candidate.make(0))


@dataclass
class _Clock:
    """Time that routers take to score."""

    seconds: float = 0.0
    questions: int = 0

    def timed(self, fit: Fit) -> Fit:
        return lambda table, questions: _Timed(fit(table, questions), self)

    @property
    def per_question(self) -> float:
        return self.seconds / self.questions if self.questions else float("nan")


@dataclass(frozen=True)
class _Timed:
    """A router whose scoring is timed."""

    router: Router
    clock: _Clock

    @property
    def experts(self) -> tuple[str, ...]:
        return self.router.experts

    def score(self, questions: Features) -> Scores:
        begun = time.perf_counter()
        found = self.router.score(questions)
        self.clock.seconds += time.perf_counter() - begun
        self.clock.questions += len(questions)
        return found

    def rank(self, questions: Features) -> list[Ranking]:
        return self.router.rank(questions)
