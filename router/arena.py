"""What other benchmarks report of a router that asks one expert per question, by their own formulas.

RouterArena (arXiv 2510.00202): arena score, optimal selection, optimal accuracy, optimal cost, robustness, latency.
LLMRouterBench (arXiv 2601.07206): gain over the best single expert, gap to the oracle, distance from the Pareto front.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router.table import Table

Floats = NDArray[np.float64]
BETA = 0.1
"""How much cost counts beside accuracy in the arena score."""
DEAREST, CHEAPEST = 200.0, 0.0044
"""Dollars per 1,000 questions between which the arena score scales costs."""


@dataclass(frozen=True, slots=True)
class RoutingMetrics:
    """One router's first choices; means over questions and seeds. None: costs or rephrasings are not known."""

    router: str
    accuracy: float
    gain_over_best: float
    """Accuracy / that of the best single expert on the tested questions - 1."""
    gap_to_oracle: float
    """1 - accuracy / share of questions that some expert gets right."""
    optimal_accuracy: float
    """Of the questions that some expert gets right, the share that the router gets right."""
    milliseconds: float
    """Time to rank the experts for one question, embedding not counted; measured on this machine."""
    cost_per_1000: float | None = None
    arena: float | None = None
    """Takes costs for dollars; None where nothing costs anything."""
    optimal_selection: float | None = None
    """Of the questions that some expert gets right, the share where the router asks the cheapest of those, as
    RouterArena has it since 2026; its figures of 2025 are shares of the questions that the router gets right."""
    optimal_cost: float | None = None
    """Where the router is right: cost of the cheapest right experts / cost of those asked."""
    pareto_distance: float | None = None
    """From the nearest point of the front of all experts and routers; cost and accuracy are scaled to 0..1 by the
    range over all of them. 0: on the front."""
    robustness: float | None = None
    """Share of rephrased questions for which the first choice stays the same (rows with the key `rephrases`)."""


def arena_score(cost_per_1000: float, accuracy: float, beta: float = BETA) -> float:
    """RouterArena's score: weighted harmonic mean of accuracy and cheapness, the latter on a scale of logarithms from
    200 to 0.0044 dollars per 1,000 questions; costs outside count as the nearer end. 0..1. Raises ValueError for a cost
    that is not above 0, as RouterArena does."""
    if not cost_per_1000 > 0:
        raise ValueError(f"the arena score needs a cost above 0, not {cost_per_1000}")
    cost = min(max(cost_per_1000, CHEAPEST), DEAREST)
    cheapness = (math.log2(DEAREST) - math.log2(cost)) / (math.log2(DEAREST) - math.log2(CHEAPEST))
    below = beta * accuracy + cheapness
    return (1 + beta) * accuracy * cheapness / below if below else 0.0


def metrics(
    table: Table, choices: Mapping[str, Sequence[NDArray[np.intp]]], seconds: Mapping[str, float], costs: Floats | None
) -> tuple[RoutingMetrics, ...]:
    """Metrics of each router. `choices`: for each seed the column of the expert asked, [questions]; `seconds`: time per
    question; `costs`: [questions, experts]."""
    right = np.nan_to_num(table.correct).astype(np.float64)
    best, oracle = float(right.mean(0).max()), float(right.max(1).mean())
    solvable = right.max(1) >= 1
    pairs = _rephrasings(table)
    found = []
    for name, seeds in choices.items():
        runs = [_run(right, asked, solvable, pairs, costs) for asked in seeds]
        mean = {key: _mean([run[key] for run in runs]) for key in runs[0]}
        accuracy = mean["accuracy"] or 0.0
        cost = mean["cost_per_1000"]
        found.append(
            RoutingMetrics(
                name,
                accuracy,
                accuracy / best - 1 if best else float("nan"),
                1 - accuracy / oracle if oracle else float("nan"),
                float("nan") if mean["optimal_accuracy"] is None else mean["optimal_accuracy"],
                1e3 * seconds.get(name, float("nan")),
                cost,
                None if not cost else arena_score(cost, accuracy),
                mean["optimal_selection"],
                mean["optimal_cost"],
                None,
                mean["robustness"],
            )
        )
    return tuple(found) if costs is None else _with_distances(found, right, costs)


def _run(
    right: Floats,
    asked: NDArray[np.intp],
    solvable: NDArray[np.bool_],
    pairs: NDArray[np.intp],
    costs: Floats | None,
) -> dict[str, float | None]:
    rows = np.arange(len(asked))
    scores = right[rows, asked]
    found: dict[str, float | None] = {
        "accuracy": float(scores.mean()),
        "optimal_accuracy": float(scores[solvable].mean()) if solvable.any() else None,
        "robustness": float((asked[pairs[:, 0]] == asked[pairs[:, 1]]).mean()) if len(pairs) else None,
        "cost_per_1000": None,
        "optimal_selection": None,
        "optimal_cost": None,
    }
    if costs is None:
        return found
    paid = costs[rows, asked]
    cheapest = np.where(right >= 1, costs, np.inf).min(1)
    hit = solvable & (scores >= 1)
    found["cost_per_1000"] = 1_000 * float(paid.mean())
    if solvable.any():
        found["optimal_selection"] = float((hit & (paid <= cheapest))[solvable].mean())
    if hit.any() and paid[hit].sum() > 0:
        found["optimal_cost"] = float(cheapest[hit].sum() / paid[hit].sum())
    return found


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _rephrasings(table: Table) -> NDArray[np.intp]:
    """[pairs, 2]: rows of a question and of its rephrasing."""
    place = {row.id: index for index, row in enumerate(table.rows)}
    pairs = [
        (place[str(row.extra["rephrases"])], index)
        for index, row in enumerate(table.rows)
        if str(row.extra.get("rephrases")) in place
    ]
    return np.array(pairs, np.intp).reshape(-1, 2)


def _with_distances(found: Sequence[RoutingMetrics], right: Floats, costs: Floats) -> tuple[RoutingMetrics, ...]:
    from dataclasses import replace

    experts = np.stack([1_000 * costs.mean(0), right.mean(0)], 1)
    routers = np.array([(one.cost_per_1000, one.accuracy) for one in found], np.float64)
    points = np.concatenate([experts, routers])
    low, span = points.min(0), np.ptp(points, 0)
    scaled = (points - low) / np.where(span > 0, span, 1)
    front = np.array([p for p in scaled if not any(_beats(other, p) for other in scaled)])
    distance = np.sqrt(((scaled[len(experts) :, None] - front[None]) ** 2).sum(2)).min(1)
    return tuple(replace(one, pareto_distance=float(gap)) for one, gap in zip(found, distance, strict=True))


def _beats(a: Floats, b: Floats) -> bool:
    """a costs no more and is right no less often, and one of the two is better."""
    return bool(a[0] <= b[0] and a[1] >= b[1] and (a[0] < b[0] or a[1] > b[1]))


def cost_matrix(table: Table, means: Mapping[str, float] | None) -> Floats | None:
    """Costs [questions, experts]: each row's own (`cost`: {expert: cost}) where all rows have them, else each expert's
    mean from `means`; None where nothing is known."""
    if means is None:
        return None
    own = [row.extra.get("cost") for row in table.rows]
    if all(isinstance(cost, dict) and all(name in cost for name in table.experts) for cost in own):
        try:
            cells = np.array([[float(cost[name]) for name in table.experts] for cost in own], np.float64)  # type: ignore[index]
        except (TypeError, ValueError):
            cells = np.array([np.nan])
        if np.isfinite(cells).all() and (cells >= 0).all():
            return cells
    return np.tile([float(means[name]) for name in table.experts], (len(table.rows), 1))
