from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from merging.cluster import cluster

NAMES = ("ada", "ben", "cleo", "dan", "eve", "finn")


@st.composite
def matrices(draw: st.DrawFn) -> NDArray[np.float64]:
    """Symmetric, with ties and with pairs that cannot be merged."""
    cells = st.sampled_from([0.0, 0.5, 0.9, 0.95, 0.96, 1.0, np.nan])
    values = np.eye(len(NAMES))
    for i in range(len(NAMES)):
        for j in range(i):
            values[i, j] = values[j, i] = draw(cells)
    return values


@given(matrices(), st.permutations(range(len(NAMES))), st.sampled_from(["complete", "average", "single"]))
def test_clusters_do_not_depend_on_the_order_of_the_models(
    values: NDArray[np.float64], order: list[int], way: str
) -> None:
    shuffled = cluster([NAMES[index] for index in order], values[np.ix_(order, order)], way=way)
    assert shuffled == cluster(NAMES, values, way=way)
    assert sorted(name for group in shuffled.groups for name in group) == sorted(NAMES)


@given(matrices())
def test_every_pair_of_a_complete_cluster_reaches_the_threshold(values: NDArray[np.float64]) -> None:
    place = {name: index for index, name in enumerate(NAMES)}
    for group in cluster(NAMES, values, threshold=0.95).groups:
        assert all(values[place[a], place[b]] >= 0.95 for a in group for b in group)


@given(matrices(), st.sampled_from(["complete", "average", "single"]))
def test_forks_are_told_most_alike_first(values: NDArray[np.float64], way: str) -> None:
    joins = cluster(NAMES, values, way=way).joins
    alike = [join.similarity for join in joins]
    assert all(later <= earlier + 1e-12 for earlier, later in itertools.pairwise(alike))


def test_the_ways_differ_as_they_should() -> None:
    # A chain: each resembles its neighbours only.
    values = np.array([[1, 0.96, 0.5], [0.96, 1, 0.96], [0.5, 0.96, 1]])
    assert cluster("abc", values).groups == (("a", "b"), ("c",))
    assert cluster("abc", values, way="single").groups == (("a", "b", "c"),)
    assert cluster("abc", values, way="leader").groups == (("a", "b"), ("c",))
    assert cluster("bac", values[np.ix_([1, 0, 2], [1, 0, 2])], way="leader").groups == (("b", "a", "c"),)


def test_at_the_threshold_is_enough_and_just_below_is_not() -> None:
    for value, groups in ((0.95, (("a", "b"),)), (0.9499, (("a",), ("b",)))):
        for way in ("complete", "leader"):
            assert cluster("ab", np.array([[1, value], [value, 1]]), way=way).groups == groups


def test_bad_matrices_are_refused() -> None:
    with pytest.raises(ValueError, match="want one row and column a distinct name"):
        cluster("ab", np.eye(3))
    with pytest.raises(ValueError, match="distinct"):
        cluster("aa", np.eye(2))
    with pytest.raises(ValueError, match="not symmetric"):
        cluster("ab", np.array([[1, 0.2], [0.3, 1]]))
    with pytest.raises(ValueError, match="no way 'ward'"):
        cluster("ab", np.eye(2), way="ward")  # type: ignore[arg-type]
