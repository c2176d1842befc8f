"""Which models to merge with which: clusters from a matrix of similarities.

Two ways. `linkage`: agglomerative, the same whatever the order of the models; with `complete` every pair of a
cluster reaches the threshold. `leader`: Model-GLUE's own, a model joins the first family whose first member it
resembles, so that the order decides; a model that resembles none founds a family (their code drops it).

Not scipy's `linkage`: it refuses a matrix with NaN or infinity, and here NaN (two models that cannot be merged) keeps
two groups apart for good, also with `single` and `average`, which no finite distance expresses. Nor does it say how
ties fall; here they fall by name, whatever the order of the models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.95
"""Model-GLUE's, https://arxiv.org/abs/2410.05357."""
Linkage = Literal["complete", "average", "single", "leader"]


@dataclass(frozen=True, slots=True)
class Join:
    """Two groups that became one, at this similarity: a fork of the dendrogram."""

    left: tuple[str, ...]
    right: tuple[str, ...]
    similarity: float


@dataclass(frozen=True, slots=True)
class Clusters:
    """`groups`: every model once; the largest group first, then by name. `joins`: all forks, also those below the
    threshold, most alike first; the leader variant has none."""

    groups: tuple[tuple[str, ...], ...]
    joins: tuple[Join, ...] = ()


def cluster(
    names: Sequence[str], values: NDArray[np.float64], *, threshold: float = THRESHOLD, way: Linkage = "complete"
) -> Clusters:
    """Clusters of models whose similarity is at least `threshold`.

    `values`: [models, models], symmetric, as `similarity` yields; NaN: cannot be merged, whatever the threshold.
    Raises ValueError for a matrix of another shape, names that repeat, or an unknown way.
    """
    values = np.asarray(values, float)
    if values.shape != (len(names), len(names)) or len(set(names)) != len(names):
        raise ValueError(f"similarities {values.shape} and {len(names)} names: want one row and column a distinct name")
    if not np.allclose(values, values.T, equal_nan=True):
        raise ValueError("the matrix of similarities is not symmetric")
    if way == "leader":
        return Clusters(_leader(names, values, threshold))
    if way not in ("complete", "average", "single"):
        raise ValueError(f"no way {way!r} of clustering; there are complete, average, single and leader")
    # In order of names, so that ties fall the same way however the models were listed.
    order = sorted(range(len(names)), key=lambda index: names[index])
    return _linkage([names[index] for index in order], values[np.ix_(order, order)], threshold, way)


def _linkage(names: Sequence[str], values: NDArray[np.float64], threshold: float, way: Linkage) -> Clusters:
    """Join the two most similar groups until none may be joined. NaN never joins."""
    groups: list[tuple[int, ...]] = [(index,) for index in range(len(names))]
    cut, joins = groups, []
    while found := _nearest(groups, values, way):
        best, i, j = found
        joins.append(Join(_named(names, groups[i]), _named(names, groups[j]), best))
        joined = tuple(sorted(groups[i] + groups[j]))
        groups = sorted([*(group for place, group in enumerate(groups) if place not in (i, j)), joined])
        if best >= threshold:
            cut = groups
    return Clusters(_ordered([_named(names, group) for group in cut]), tuple(joins))


def _nearest(
    groups: Sequence[tuple[int, ...]], values: NDArray[np.float64], way: Linkage
) -> tuple[float, int, int] | None:
    best: tuple[float, int, int] | None = None
    for i in range(len(groups)):
        for j in range(i + 1, len(groups)):
            between = values[np.ix_(groups[i], groups[j])]
            if np.isnan(between).any():
                continue
            alike = float(between.min() if way == "complete" else between.mean() if way == "average" else between.max())
            if best is None or alike > best[0]:
                best = alike, i, j
    return best


def _leader(names: Sequence[str], values: NDArray[np.float64], threshold: float) -> tuple[tuple[str, ...], ...]:
    families: list[list[int]] = []
    for index in range(len(names)):
        for family in families:
            if values[family[0], index] >= threshold:
                family.append(index)
                break
        else:
            families.append([index])
    return tuple(_named(names, family) for family in families)


def _named(names: Sequence[str], group: Sequence[int]) -> tuple[str, ...]:
    return tuple(names[index] for index in group)


def _ordered(groups: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    return tuple(sorted(groups, key=lambda group: (-len(group), group)))
