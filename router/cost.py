"""Quality against cost: one knob from "whatever is cheapest" to "whatever is best"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from router.ranking import Scores


@dataclass(frozen=True)
class CostAware:
    """Ranks by probability - price * cost. `costs`: one number an expert, any unit (money, seconds, tokens).

    `quality` 1 looks at probability alone, 0 at cost alone; in between, (1 - quality) / quality is the price: how
    many points of probability the dearest expert must bring over a free one to be worth asking.
    """

    costs: NDArray[np.float64]
    """[experts], divided by the dearest: 0..1"""
    quality: float

    @classmethod
    def of(cls, experts: Sequence[str], costs: Mapping[str, float], quality: float) -> CostAware:
        """Raises ValueError for a missing or negative cost, or a quality outside 0..1."""
        if not 0 <= quality <= 1:
            raise ValueError(f"quality must be from 0 to 1, is {quality}")
        for expert in experts:
            if expert not in costs:
                raise ValueError(f"the expert {expert!r} has no cost")
            if not 0 <= costs[expert] < float("inf"):
                raise ValueError(f"the cost of {expert!r} must be finite and at least 0, is {costs[expert]}")
        array = np.array([costs[expert] for expert in experts], np.float64)
        return cls(array / array.max() if array.max() > 0 else array, quality)

    def __call__(self, scores: Scores) -> Scores:
        """The same questions, re-ranked; the term `cost` is what was taken off."""
        probability = scores.probabilities.astype(np.float64)
        if self.quality == 0:
            taken, values = self.costs, np.broadcast_to(-self.costs, probability.shape)
        else:
            taken = self.costs * (1 - self.quality) / self.quality
            values = probability - taken
        terms = {**scores.terms, "cost": -taken.astype(np.float32)}
        return replace(scores, values=values.astype(np.float32), terms=terms)


def quality_for(scores: Scores, costs: Mapping[str, float], target: float) -> float:
    """The highest quality at which these questions cost at most `target` each, on average, by their first experts.

    Between two experts it is RouteLLM's threshold (arXiv 2406.18665): the strong one is asked where it is likelier to
    be right by at least (1 - quality) / quality times the difference of the costs. Raises ValueError if the target is
    below the cheapest expert.
    """
    raw = np.array([costs[expert] for expert in scores.experts], np.float64)
    if target < raw.min():
        raise ValueError(f"no expert costs as little as {target:g}; the cheapest costs {raw.min():g}")

    def spent(quality: float) -> float:
        chosen = CostAware.of(scores.experts, costs, quality)(scores).values.argmax(1)
        return float(raw[chosen].mean())

    if spent(1.0) <= target:
        return 1.0
    # The mean cost never falls as quality rises, and what lies between two floats is of no use.
    low, high = 0.0, 1.0
    for _ in range(53):
        middle = (low + high) / 2
        low, high = (middle, high) if spent(middle) <= target else (low, middle)
    return low


def cost_curve(
    scores: Scores, correct: NDArray[np.float32], costs: Mapping[str, float], steps: int = 21
) -> tuple[tuple[float, float, float], ...]:
    """(quality, mean cost, accuracy) of the first expert at `steps` settings of the knob, 0 to 1."""
    raw = np.array([costs[expert] for expert in scores.experts], np.float64)
    points = []
    for quality in np.linspace(0, 1, steps):
        first = CostAware.of(scores.experts, costs, float(quality))(scores).order()[:, 0]
        accuracy = float(np.nanmean(correct[np.arange(len(first)), first]))
        points.append((float(quality), float(raw[first].mean()), accuracy))
    return tuple(points)


def area_under_cost_curve(points: Sequence[tuple[float, float, float]], dearest: float) -> float:
    """Mean accuracy over all budgets from 0 to the dearest expert's cost, each spent as well as the curve allows.

    The upper hull of the points is taken, as RouterBench's AIQ does (arXiv 2403.12031, section 3.3): between two
    settings one may draw lots. Below the cheapest point its accuracy is reached in proportion to the budget. Raises
    ValueError if no expert costs anything."""
    if dearest <= 0:
        raise ValueError("the area needs an expert whose cost is above 0")
    reached = {0.0: 0.0}
    for _, cost, accuracy in points:
        reached[cost] = max(reached.get(cost, 0.0), accuracy)
    hull: list[tuple[float, float]] = []
    best = 0.0
    for cost in sorted(reached):
        if cost > 0 and reached[cost] <= best:
            continue
        best = reached[cost]
        point = (cost, best)
        while len(hull) > 1 and _turns_up(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    hull.append((max(dearest, hull[-1][0]), hull[-1][1]))
    x, y = np.array(hull).T
    return float(np.trapezoid(y, x) / x[-1])


def _turns_up(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) >= (c[0] - a[0]) * (b[1] - a[1])
