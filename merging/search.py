"""Which sources to merge, and with which weights: Model-GLUE's heuristics, then CMA-ES.

https://arxiv.org/abs/2410.05357, section 4.2. Whoever searches brings `evaluate(candidates, count)`: scores in 0..1,
higher is better, of each candidate on the first `count` questions. Candidates of one call are independent and may be
tried in parallel. Everything here follows from the scores and the seed: whoever remembers scores resumes a search by
running it again.

A search is cheap first: candidates are scored on the first of `sizes` questions, the better half on the next size,
and only what was scored on the last size can become the best.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Heuristic = Literal["average", "coefficient", "similar", "dissimilar"]
HEURISTICS: tuple[Heuristic, ...] = ("average", "coefficient", "similar", "dissimilar")
GRID = tuple(step / 10 for step in range(1, 10))
TRIALS = 200
SIGMA = 1 / 6
MIN_WEIGHT = 1e-3
"""A weight below this is a source left out."""


class SearchError(ValueError):
    """A search that cannot be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A merge to try. A row a layer group, a column a source; one row alone is for all tensors. With G groups there
    are G + 1 rows: the first is for what is in no layer (embeddings, last norm, output)."""

    weights: tuple[tuple[float, ...], ...]
    densities: tuple[tuple[float, ...], ...] = ()
    """As `weights`; empty for methods without a density."""

    @property
    def used(self) -> tuple[int, ...]:
        """The sources that have a weight anywhere."""
        return tuple(
            index for index in range(len(self.weights[0])) if any(row[index] > MIN_WEIGHT for row in self.weights)
        )

    @property
    def mean(self) -> tuple[float, ...]:
        """A source's weight, averaged over rows."""
        return tuple(sum(column) / len(self.weights) for column in zip(*self.weights, strict=True))


Evaluate = Callable[[Sequence[Candidate], int], Awaitable[Sequence[float]]]


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate as it was scored. `best`: from here on it was the best known."""

    stage: str
    candidate: Candidate
    score: float
    questions: int
    best: bool


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found, and every trial on the way."""

    candidate: Candidate
    score: float
    trials: tuple[Trial, ...]


@dataclass(frozen=True, slots=True)
class Space:
    """What CMA-ES varies, all in 0..1: a weight for each source and row, and a density where the method has one."""

    sources: int
    groups: int = 0
    densities: bool = False

    @property
    def rows(self) -> int:
        """Rows of weights: one for what lies in no layer, one per group of layers."""
        return self.groups + 1

    @property
    def size(self) -> int:
        """Numbers that CMA-ES varies."""
        return self.rows * self.sources * (2 if self.densities else 1)

    def candidate(self, vector: Sequence[float]) -> Candidate:
        """The candidate that a vector of `size` numbers stands for."""
        table = np.asarray(vector, float).reshape(-1, self.sources)
        weights, densities = table[: self.rows], table[self.rows :]
        return Candidate(_rows(weights), _rows(densities))

    def vector(self, candidate: Candidate) -> list[float]:
        """`candidate` in this space: one row is repeated for every group, a density that it lacks is 1."""
        weights = candidate.weights if len(candidate.weights) == self.rows else candidate.weights[:1] * self.rows
        densities = candidate.densities or ((1.0,) * self.sources,) * self.rows
        if len(densities) != self.rows:
            densities = densities[:1] * self.rows
        return [value for row in (*weights, *(densities if self.densities else ())) for value in row]


def group_of(layer: int | None, layers: int, groups: int) -> int:
    """The row of `Candidate.weights` for a layer (None: in no layer) of `layers`, in `groups` nearly equal parts."""
    return 0 if groups == 0 or layer is None else 1 + layer * groups // layers


async def heuristic(
    alone: Sequence[float],
    evaluate: Evaluate,
    *,
    kind: Heuristic = "average",
    sizes: Sequence[int],
    similarity: NDArray[np.float64] | None = None,
) -> SearchResult:
    """Add one source after the other to the best one; a source that lowers the score is dropped.

    `average`: in order of their own scores, each new one with weight 1/(k+2). `coefficient`: with the best weight
    of 0.1 to 0.9. `similar`, `dissimilar`: as `coefficient`, next the most or least similar to the merge so far.

    Args:
    alone: each source's own score on the last of `sizes`.
    sizes: numbers of questions, rising; see the module.
    similarity: [sources, sources], for `similar` and `dissimilar`. Raises `SearchError` for an unknown kind and for
    similarities that are missing."""
    _check(alone, sizes)
    if kind not in HEURISTICS:
        raise SearchError(f"no heuristic {kind!r}; there are {', '.join(HEURISTICS)}")
    if kind in ("similar", "dissimilar") and similarity is None:
        raise SearchError(f"the heuristic {kind!r} needs similarities")
    log = _Log(kind)
    left = sorted(range(len(alone)), key=lambda index: (-alone[index], index))
    first = left.pop(0)
    weights = np.eye(len(alone))[first]
    log.note(_one_row(weights), alone[first], sizes[-1], best=True)
    current = alone[first]
    kept = 1
    while left:
        new = left.pop(_next(kind, weights, left, similarity))
        coefficients = (kept / (kept + 1),) if kind == "average" else GRID
        candidates = [_one_row(c * weights + (1 - c) * np.eye(len(alone))[new]) for c in coefficients]
        best = await _race(candidates, evaluate, sizes, log, (_one_row(weights), current))
        if best is not None and best[1] >= current:
            weights, current = np.asarray(best[0].weights[0]), best[1]
            kept += 1
            log.crown(best[0])
    return SearchResult(_one_row(weights), current, tuple(log.trials))


async def evolve(
    space: Space,
    start: tuple[Candidate, float],
    evaluate: Evaluate,
    *,
    sizes: Sequence[int],
    trials: int = TRIALS,
    seed: int = 0,
) -> SearchResult:
    """CMA-ES from `start`, a candidate with its score: https://arxiv.org/abs/1604.00772, by the library `cma`.

    Bounds 0..1, first step 1/6, round(4 + 3 ln size) candidates a generation; about `trials` candidates in all.
    """
    _check([start[1]], sizes)
    log = _Log("cma")
    best, score = start
    strategy = _strategy(space, space.vector(best), seed)
    while len(log.trials) < trials and not strategy.stop():
        vectors = strategy.ask()
        candidates = [space.candidate(vector) for vector in vectors]
        # A merge of nothing cannot be scored: worse than everything.
        real = [candidate for candidate in candidates if candidate.used]
        champion = await _race(real, evaluate, sizes, log) if real else None
        fitness = {trial.candidate: list(sizes).index(trial.questions) + trial.score for trial in log.trials}
        strategy.tell(vectors, [-fitness.get(candidate, -1.0) for candidate in candidates])
        if champion is not None and champion[1] > score:
            best, score = champion
            log.crown(best)
    return SearchResult(best, score, tuple(log.trials))


def sizes_of(questions: int, first: int | None = None) -> tuple[int, ...]:
    """A quarter of the questions (or `first`), then all: `sizes` for a search. A small sample is not divided."""
    start = first or questions // 4
    return (start, questions) if 16 <= start < questions else (questions,)


async def _race(
    candidates: Sequence[Candidate],
    evaluate: Evaluate,
    sizes: Sequence[int],
    log: _Log,
    rival: tuple[Candidate, float] | None = None,
) -> tuple[Candidate, float] | None:
    """The best candidate on the last size; None if all fell behind `rival` (by a standard error) on the way."""
    running = list(dict.fromkeys(candidates))
    for size in sizes[:-1]:
        asked = [*running, rival[0]] if rival else running
        scores = list(await evaluate(asked, size))
        bar = scores[len(running)] if rival else 0.0
        bar -= math.sqrt(bar * (1 - bar) / size)
        ranked = sorted(range(len(running)), key=lambda index: -scores[index])
        for index in range(len(running)):
            log.note(running[index], scores[index], size)
        running = [running[index] for index in ranked[: -(-len(running) // 2)] if scores[index] >= bar]
        if not running:
            return None
    scores = list(await evaluate(running, sizes[-1]))
    for candidate, score in zip(running, scores, strict=True):
        log.note(candidate, score, sizes[-1])
    top = max(range(len(running)), key=lambda index: scores[index])
    return running[top], scores[top]


@dataclass
class _Log:
    stage: str
    trials: list[Trial] = field(default_factory=list)

    def note(self, candidate: Candidate, score: float, size: int, best: bool = False) -> None:
        """One line a candidate: a later, larger size replaces the earlier one."""
        trial = Trial(self.stage, candidate, float(score), size, best)
        for place in range(len(self.trials) - 1, -1, -1):
            if self.trials[place].candidate == candidate:
                self.trials[place] = trial
                return
        self.trials.append(trial)

    def crown(self, candidate: Candidate) -> None:
        for place, trial in enumerate(self.trials):
            if trial.candidate == candidate:
                self.trials[place] = Trial(trial.stage, trial.candidate, trial.score, trial.questions, True)


def _next(
    kind: Heuristic, weights: NDArray[np.float64], left: Sequence[int], similarity: NDArray[np.float64] | None
) -> int:
    """The place in `left` of the source to add next."""
    if kind in ("average", "coefficient") or similarity is None:
        return 0
    alike = [float(weights @ np.nan_to_num(similarity[index])) for index in left]
    return int(np.argmax(alike) if kind == "similar" else np.argmin(alike))


def _strategy(space: Space, start: Sequence[float], seed: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it cannot draw plots
        import cma

    size = round(4 + 3 * math.log(space.size))
    options = {"bounds": [0, 1], "popsize": size, "seed": seed + 1, "verbose": -9, "tolflatfitness": 10}
    if space.size == 1:
        raise SearchError("CMA-ES needs more than one coefficient to vary")
    return cma.CMAEvolutionStrategy(list(start), SIGMA, options)


def _check(scores: Sequence[float], sizes: Sequence[int]) -> None:
    if not scores or not all(math.isfinite(score) for score in scores):
        raise SearchError(f"a search wants a finite score for each of its sources, not {list(scores)}")
    if not sizes or sizes[0] < 1 or list(sizes) != sorted(set(sizes)):
        raise SearchError(f"sizes must rise from at least 1, not {list(sizes)}")


def _one_row(weights: NDArray[np.float64]) -> Candidate:
    return Candidate(_rows(weights.reshape(1, -1)))


def _rows(table: NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    # Rounded, so that the same candidate, reached in another way, is the same expert.
    return tuple(tuple(round(float(value), 6) for value in row) for row in table)
