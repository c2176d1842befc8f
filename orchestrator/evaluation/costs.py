"""What experts cost, and how much of it a question may spend."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pydantic import Field, model_validator

from orchestrator.config import StrictModel
from orchestrator.errors import BadInput
from router.embedding import Features
from router.routers import FittedRouter, PricedRouter, maker
from router.table import Table

LONGEST = 1_000_000
"""Characters of a file of costs."""


class CostOptions(StrictModel):
    """Quality against cost. Without `quality` and `spend` a router looks at quality alone."""

    quality: float | None = Field(
        default=None, ge=0, le=1, description="Trade-off: 1 = most accurate expert, 0 = cheapest."
    )
    spend: float | None = Field(
        default=None, gt=0, description="Mean cost per question to keep to; sets `quality` on the fitted questions."
    )
    costs: str | None = Field(
        default=None,
        description='Cost per reply: a=1,b=0.2 or a JSON file {expert: cost} (default: "cost" in the table).',
    )

    @model_validator(mode="after")
    def _one_knob(self) -> CostOptions:
        if self.quality is not None and self.spend is not None:
            raise ValueError("spend: give either quality or spend, not both")
        return self


def fit_router(name: str, table: Table, features: Features, options: CostOptions, seed: int = 0) -> FittedRouter:
    """The router of this name, priced if the options say so. Raises `BadInput` naming router, expert or key."""
    try:
        if options.quality is None and options.spend is None:
            return maker(name, seed)(table, features)  # type: ignore[return-value]
        costs = costs_of(options.costs, table)
        if costs is None:
            raise ValueError(
                'costs: the table has no key "cost" in one unit for every expert; name the costs (--costs)'
            )
        fit = partial(PricedRouter.fit, router=maker(name, seed), costs=costs, seed=seed)
        return fit(table, features, quality=options.quality, spend=options.spend)
    except ValueError as error:
        raise BadInput(f"router {name}: {error}") from error


def costs_of(given: str | None, table: Table) -> Mapping[str, float] | None:
    """Each expert's cost: as given, else the mean of the rows' `cost`; None where nothing is known. Raises
    `BadInput` for an expert without a finite cost of at least 0."""
    if given is None:
        return _recorded_costs(table)
    try:
        if "=" in given:
            costs = {name: float(cost) for name, _, cost in (pair.rpartition("=") for pair in given.split(","))}
        else:
            with Path(given).expanduser().open(encoding="utf-8") as file:
                body = json.loads(file.read(LONGEST))
            if not isinstance(body, dict):
                raise ValueError("must be an object {expert: cost}")
            costs = {str(name): float(cost) for name, cost in body.items()}
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise BadInput(f"costs: {given[:200]!r}: {error}") from error
    for name in table.experts:
        if name not in costs or not 0 <= costs[name] < float("inf"):
            raise BadInput(f"costs: the expert {name!r} needs a cost that is finite and at least 0")
    return costs


def cost_unit(given: str | None, table: Table) -> str:
    """What the costs are counted in, as a note of a report says it."""
    if given is not None:
        return "the unit of --costs"
    units = {row.extra.get("cost_unit") for row in table.rows if row.extra.get("cost")}
    return "US dollars per question" if units == {"USD"} else "tokens per question"


def _recorded_costs(table: Table) -> Mapping[str, float] | None:
    if len({row.extra.get("cost_unit") for row in table.rows if row.extra.get("cost")}) > 1:
        return None  # tokens and US dollars have no mean
    found: dict[str, list[float]] = {name: [] for name in table.experts}
    for row in table.rows:
        costs = row.extra.get("cost")
        for name, cost in costs.items() if isinstance(costs, dict) else ():
            if name in found and isinstance(cost, int | float) and 0 <= cost < float("inf"):
                found[name].append(float(cost))
    return {name: statistics.fmean(costs) for name, costs in found.items()} if all(found.values()) else None
