"""Any router with honest probabilities: its scores on held-out folds, mapped to how often experts were right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from router.calibration import Calibration, CalibrationMethod, calibrate
from router.crossfit import Fit, folds, out_of_fold
from router.embedding import Features
from router.ranking import Evidence, Scores
from router.routers.fitted import FittedRouter, fitting_rows
from router.table import Table


@dataclass(frozen=True)
class CalibratedRouter(FittedRouter):
    """Ranks as the router inside does; `probabilities` are calibrated, one curve for all experts."""

    inside: FittedRouter
    calibration: Calibration

    @classmethod
    def fit(
        cls,
        table: Table,
        questions: Features,
        *,
        router: Fit,
        method: CalibrationMethod = "platt",
        parts: int = 5,
        seed: int = 0,
    ) -> Self:
        """Fit `router` on each of `parts` folds to calibrate its scores, then on everything."""
        table, questions = fitting_rows(table, questions)
        scores = out_of_fold(router, table, questions, folds(table, parts, seed))
        inside = router(table, questions)
        if not isinstance(inside, FittedRouter):
            raise TypeError(f"{type(inside).__name__} is not a FittedRouter")
        return cls(table.experts, inside.prior, inside, calibrate(scores.values, table.correct, method))

    def score(self, questions: Features) -> Scores:
        """The inner router's scores and terms."""
        scores = self.inside.score(questions)
        return Scores(self.experts, scores.values, self.calibration(scores.values), scores.terms)

    def evidence(self, questions: Features) -> list[tuple[Evidence, ...]]:
        """The inner router's."""
        return self.inside.evidence(questions)
