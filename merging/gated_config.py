"""The configuration of a gated mixture, as transformers reads it. Imports transformers."""

from __future__ import annotations

from typing import Any

from transformers import LlamaConfig

from merging.gated_mixture import GATES, LEVELS, MODEL_TYPE, ROUTES, check_settings


class GatedMixtureConfig(LlamaConfig):  # type: ignore[misc]
    """The experts' own configuration, and how they are mixed: see `merging.gated_mixture.GatedMixture`."""

    model_type = MODEL_TYPE

    level: str = LEVELS[0]
    route: str = ROUTES[1]
    gate: str = GATES[0]
    gate_width: int = 64
    experts: int = 2
    per_route: int = 2
    dense_layers: int = 0

    def __post_init__(self, **kwargs: Any) -> None:
        """Raises `MixtureError`, a ValueError, naming the key."""
        check_settings({key: getattr(self, key) for key in self.__class__.__annotations__ if key != "model_type"})
        super().__post_init__(**kwargs)

    def experts_of(self, layer: int) -> int:
        """How many experts a layer has; one where it is dense."""
        return 1 if layer < self.dense_layers else self.experts

    def slots_of(self, layer: int) -> int:
        """How many experts a route picks in a layer."""
        return min(self.per_route, self.experts_of(layer))
