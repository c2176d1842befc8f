"""Whom the mixture asks what is unlike everything that it was fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.evaluation.mixture.fitted import FittedMixture
from orchestrator.inference.expert import Expert


def default_expert(mixture: FittedMixture, experts: Mapping[str, Expert], wanted: str | None = None) -> str:
    """`wanted` (`service.default`), where the mixture ranks it; else the best expert over the profile. One that is an
    adapter or a merge is best at what the profile asks: where the model that it was made from is an expert, too, that
    one is taken."""
    if wanted in mixture.experts:
        return wanted
    best = mixture.best
    origin = _origin(experts[best]) if best in experts else None
    if origin is None:
        return best
    plain = (
        name
        for name in mixture.experts
        if (expert := experts.get(name)) is not None
        and expert.weights is not None
        and expert.weights.adapter is None
        and expert.weights.model == origin
    )
    return next(plain, best)


def _origin(expert: Expert) -> Path | None:
    """The checkpoint that an adapter or a merge was made from; None for any other expert."""
    if expert.weights is not None and expert.weights.adapter is not None:
        return expert.weights.model
    if expert.recipe is not None and expert.recipe.base is not None:
        return expert.recipe.base.model
    return None
