from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merging.search import (
    Candidate,
    Heuristic,
    SearchError,
    SearchResult,
    Space,
    evolve,
    group_of,
    heuristic,
    sizes_of,
)


class Scorer:
    """Scores a candidate by its distance from a best one, and remembers what it was asked."""

    def __init__(self, goal: Sequence[float]) -> None:
        self.goal = np.asarray(goal)
        self.asked: list[tuple[int, int]] = []

    def one(self, candidate: Candidate) -> float:
        return float(1 - np.abs(np.asarray(candidate.weights) - self.goal).mean())

    async def __call__(self, candidates: Sequence[Candidate], count: int) -> list[float]:
        self.asked.append((len(candidates), count))
        return [self.one(candidate) for candidate in candidates]


def alone(scorer: Scorer, sources: int) -> list[float]:
    return [scorer.one(Candidate((tuple(row),))) for row in np.eye(sources)]


async def test_average_weighs_kept_sources_alike_and_drops_what_harms() -> None:
    scorer = Scorer([0.5, 0.5, 0.0])
    found = await heuristic([0.6, 0.5, 0.1], scorer, kind="average", sizes=(100,))
    assert found.candidate.weights == ((0.5, 0.5, 0.0),)
    assert found.candidate.used == (0, 1)
    assert found.score == pytest.approx(1.0)
    # The last trial is the harmful third source at a third: worse, and so not crowned.
    assert [trial.best for trial in found.trials] == [True, True, False]
    assert found.trials[-1].candidate.weights[0] == pytest.approx((1 / 3, 1 / 3, 1 / 3), abs=1e-6)


async def test_coefficient_keeps_the_best_of_the_grid() -> None:
    # The reference code saves the last pair tried instead of the best.
    scorer = Scorer([0.7, 0.3])
    found = await heuristic(alone(scorer, 2), scorer, kind="coefficient", sizes=(100,))
    assert found.candidate.weights[0] == pytest.approx((0.7, 0.3))


async def test_weights_follow_the_paper_formula() -> None:
    """w_i = (1 - c_i) * product of the later c_j, with every source kept at c = 0.5."""

    async def always(candidates: Sequence[Candidate], count: int) -> list[float]:
        return [0.9 if abs(max(c.weights[0][2:]) - 0.5) < 1e-9 or c.weights[0][0] == 0.5 else 0.0 for c in candidates]

    found = await heuristic([0.3, 0.2, 0.1], always, kind="coefficient", sizes=(10,))
    assert found.candidate.weights[0] == pytest.approx((0.25, 0.25, 0.5))


@given(
    st.lists(st.integers(0, 100), min_size=1, max_size=5, unique=True),
    st.sampled_from(["average", "coefficient"]),
    st.randoms(use_true_random=False),
)
@settings(max_examples=40, deadline=None)
def test_weights_sum_to_one_nothing_gets_worse_and_the_order_does_not_matter(
    percents: list[int], kind: Heuristic, random: Random
) -> None:
    alone = [percent / 100 for percent in percents]
    tastes = [random.random() for _ in alone]

    def found(order: Sequence[int]) -> SearchResult:
        async def score(candidates: Sequence[Candidate], count: int) -> list[float]:
            weighed = [zip(candidate.weights[0], order, strict=True) for candidate in candidates]
            return [round(sum(weight * tastes[source] for weight, source in pairs), 4) for pairs in weighed]

        return asyncio.run(heuristic([alone[source] for source in order], score, kind=kind, sizes=(10,)))

    straight = found(range(len(alone)))
    weights = straight.candidate.weights[0]
    assert sum(weights) == pytest.approx(1, abs=1e-5)
    assert min(weights) >= 0
    assert straight.score >= max(alone)
    order = random.sample(range(len(alone)), len(alone))
    turned = found(order)
    assert turned.score == straight.score
    assert turned.candidate.weights[0] == tuple(weights[source] for source in order)


@pytest.mark.parametrize(("kind", "second"), [("similar", 2), ("dissimilar", 1)])
async def test_similarity_decides_who_comes_next(kind: str, second: int) -> None:
    similarity = np.array([[1, 0.1, 0.9], [0.1, 1, 0.2], [0.9, 0.2, 1]])
    seen: list[Candidate] = []

    async def note(candidates: Sequence[Candidate], count: int) -> list[float]:
        seen.extend(candidates)
        return [0.0] * len(candidates)

    await heuristic([0.5, 0.4, 0.3], note, kind=kind, sizes=(10,), similarity=similarity)  # type: ignore[arg-type]
    assert seen[0].used == (0, second)


async def test_it_is_cheap_first() -> None:
    scorer = Scorer([0.5, 0.5])
    await heuristic(alone(scorer, 2), scorer, kind="coefficient", sizes=(20, 100))
    # Nine coefficients and the rival on twenty questions; at most half of the nine on all of them.
    (first, small), (second, large) = scorer.asked
    assert (first, small, large) == (10, 20, 100)
    assert second <= 5


async def test_a_candidate_far_behind_is_not_asked_more() -> None:
    async def poor(candidates: Sequence[Candidate], count: int) -> list[float]:
        assert count == 20
        return [0.8 if len(candidate.used) == 1 else 0.1 for candidate in candidates]

    found = await heuristic([0.8, 0.7], poor, sizes=(20, 100))
    assert (found.candidate.used, found.score) == ((0,), 0.8)


async def _evolved(space: Space, goal: Sequence[float], seed: int, trials: int = 200) -> tuple[SearchResult, Scorer]:
    scorer = Scorer(goal)
    start = Candidate((tuple([1.0] + [0.0] * (space.sources - 1)),))
    return await evolve(space, (start, scorer.one(start)), scorer, sizes=(10, 40), trials=trials, seed=seed), scorer


async def test_cma_finds_coefficients_that_no_heuristic_tries() -> None:
    found, scorer = await _evolved(Space(3), [0.83, 0.37, 0.05], 0)
    assert np.abs(np.asarray(found.candidate.weights[0]) - [0.83, 0.37, 0.05]).max() < 0.08
    assert found.score == pytest.approx(scorer.one(found.candidate))
    assert 200 <= len(found.trials) < 210
    last = [trial for trial in found.trials if trial.best][-1]
    assert last.candidate == found.candidate


async def test_the_same_seed_asks_the_same_candidates() -> None:
    (one, _), (other, _), (third, _) = [await _evolved(Space(3), [0.8, 0.3, 0.1], seed, 40) for seed in (1, 1, 2)]
    assert one == other
    assert one != third


async def test_only_a_full_score_becomes_the_best() -> None:
    async def lucky(candidates: Sequence[Candidate], count: int) -> list[float]:
        return [0.9 if count == 10 else 0.2 for _ in candidates]

    start = Candidate(((1.0, 0.0),))
    found = await evolve(Space(2), (start, 0.5), lucky, sizes=(10, 40), trials=20)
    assert (found.candidate, found.score) == (start, 0.5)


@given(st.integers(1, 5), st.integers(0, 4), st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_vectors_and_candidates_are_one_to_one(sources: int, groups: int, densities: bool, random: object) -> None:
    space = Space(sources, groups, densities)
    vector = [round(random.random(), 6) for _ in range(space.size)]  # type: ignore[attr-defined]
    candidate = space.candidate(vector)
    assert space.vector(candidate) == pytest.approx(vector)
    assert len(candidate.weights) == groups + 1
    assert bool(candidate.densities) == densities


@given(st.integers(1, 80), st.integers(1, 9))
def test_layer_groups_cover_every_layer(layers: int, groups: int) -> None:
    rows = [group_of(layer, layers, groups) for layer in range(layers)]
    assert rows == sorted(rows)
    assert set(rows) <= set(range(1, groups + 1))
    if layers >= groups:  # none is empty, and they differ by one layer at most: no remainder is dropped
        counts = [rows.count(row) for row in range(1, groups + 1)]
        assert max(counts) - min(counts) <= 1
    assert group_of(None, layers, groups) == 0
    assert group_of(3, 4, 0) == 0


def test_sizes_start_small_where_there_are_enough_questions() -> None:
    assert sizes_of(200) == (50, 200)
    assert sizes_of(40) == (40,)
    assert sizes_of(200, 20) == (20, 200)


async def test_what_cannot_be_searched_is_said() -> None:
    scorer = Scorer([1.0])
    with pytest.raises(SearchError, match="needs similarities"):
        await heuristic([0.1, 0.2], scorer, kind="similar", sizes=(10,))
    with pytest.raises(SearchError, match="no heuristic 'best'"):
        await heuristic([0.1, 0.2], scorer, kind="best", sizes=(10,))  # type: ignore[arg-type]
    with pytest.raises(SearchError, match="sizes must rise"):
        await heuristic([0.1, 0.2], scorer, sizes=(10, 10))
    with pytest.raises(SearchError, match="finite score"):
        await heuristic([], scorer, sizes=(10,))
    with pytest.raises(SearchError, match="more than one coefficient"):
        await evolve(Space(1), (Candidate(((1.0,),)), 0.5), scorer, sizes=(10,))


@pytest.mark.parametrize(("early", "kept"), [(0.5 - 0.12, True), (0.5 - 0.13, False)])
async def test_a_candidate_leaves_the_race_a_standard_error_below_the_rival(early: float, kept: bool) -> None:
    """Of 16 questions half right: a standard error is an eighth."""
    asked: list[int] = []

    async def evaluate(candidates: Sequence[Candidate], count: int) -> list[float]:
        asked.append(count)
        alone = [max(candidate.weights[0]) == 1.0 for candidate in candidates]
        return [0.5 if single else (early if count == 16 else 0.9) for single in alone]

    found = await heuristic([0.5, 0.4], evaluate, kind="average", sizes=(16, 100))
    assert asked == ([16, 100] if kept else [16])
    assert (found.score == 0.9) is kept
