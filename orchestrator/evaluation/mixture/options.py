"""What a mixture is fitted with: its router, and the price of its experts."""

from __future__ import annotations

from pydantic import Field, model_validator

from orchestrator.evaluation.costs import CostOptions
from router.routers import DEFAULT, ROUTERS, check


class FittingOptions(CostOptions):
    """What decides, beside the table, how a mixture is fitted. Equal options on an equal table give equal mixtures."""

    router: str = Field(default=DEFAULT, description=f"The router: {', '.join(ROUTERS)}.")
    seed: int = Field(default=0, ge=0, description="Seed of the router's folds and starting points.")

    @model_validator(mode="after")
    def _known_router(self) -> FittingOptions:
        try:
            check(self.router)
        except ValueError as error:
            raise ValueError(f"router: {error}") from error
        return self
