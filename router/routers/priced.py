"""Any router with an eye on cost: a dear expert must be likelier to be right by what its price says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from router.cost import CostAware, quality_for
from router.crossfit import Fit, folds, out_of_fold
from router.embedding import Features
from router.ranking import Evidence, Scores
from router.routers.fitted import Array, FittedRouter, fitting_rows
from router.table import Table


@dataclass(frozen=True)
class PricedRouter(FittedRouter):
    """Ranks by the inner router's probability less a price for cost; see `router.cost.CostAware`."""

    inside: FittedRouter
    costs: Array
    """[experts], in any unit"""
    quality: float
    """1 looks at probability alone, 0 at cost alone."""

    @classmethod
    def fit(
        cls,
        table: Table,
        questions: Features,
        *,
        router: Fit,
        costs: Mapping[str, float],
        quality: float | None = None,
        spend: float | None = None,
        parts: int = 5,
        seed: int = 0,
    ) -> Self:
        """Fit `router`, and give it `quality`; or the quality at which a question costs `spend` on average.

        The latter is found on scores from outside the fold: a router's scores on what it was fitted on are too
        sure, which would make it spend more on new questions. Raises ValueError unless one of the two is given, and
        for senseless costs.
        """
        if (quality is None) == (spend is None):
            raise ValueError("give either the quality or what a question may cost")
        table, questions = fitting_rows(table, questions)
        CostAware.of(table.experts, costs, 1.0 if quality is None else quality)
        inside = router(table, questions)
        if not isinstance(inside, FittedRouter):
            raise TypeError(f"{type(inside).__name__} is not a FittedRouter")
        if spend is not None:
            fresh = out_of_fold(router, table, questions, folds(table, parts, seed))
            quality = quality_for(fresh, costs, spend)
        array = np.array([costs[name] for name in table.experts], np.float32)
        return cls(table.experts, inside.prior, inside, array, float(quality or 0.0))

    def score(self, questions: Features) -> Scores:
        """The inner router's scores less the price; its probabilities and terms, and the term `cost`."""
        return self.priced(self.inside.score(questions))

    def priced(self, scores: Scores) -> Scores:
        """Other scores of the same experts, less the price."""
        costs = {name: float(cost) for name, cost in zip(self.experts, self.costs, strict=True)}
        return CostAware.of(self.experts, costs, self.quality)(scores)

    def evidence(self, questions: Features) -> list[tuple[Evidence, ...]]:
        """The inner router's."""
        return self.inside.evidence(questions)
