"""A mixture as a checkpoint of this project's own type: experts as MLPs or whole layers, routed once an answer.

Model-GLUE, https://arxiv.org/abs/2410.05357, section 4.4. Its abbreviations: the level (F: FFN, B: block), the gate
(L: linear, M: one hidden layer), the route (T: for each token, S: for the sample, the prompt with its whole answer).
F-L-T is `merging.mixture`, which vLLM loads; these are loaded by transformers once `merging.gated_model` is imported.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from merging.gates import Gates, MixtureError, MLPGates, check_gates
from merging.mixture import KEPT, KINDS, bits, check_layers, mlp_part
from merging.processor import encoded
from merging.stream import Blend
from merging.tokenizer import copy_files
from merging.writer import Writer

MODEL_TYPE = "collegium_mixture"
MixtureLevel = Literal["ffn", "block"]
RoutingUnit = Literal["token", "sample"]
LEVELS: tuple[MixtureLevel, ...] = ("ffn", "block")
ROUTES: tuple[RoutingUnit, ...] = ("token", "sample")
GATES = ("linear", "mlp")
MAX_EXPERTS, MAX_WIDTH = 256, 65_536
MORE_KEPT = ("attention_bias", "mlp_bias", "tie_word_embeddings")


@dataclass(frozen=True)
class GatedMixture:
    """`experts` give the MLPs (`ffn`) or whole layers (`block`) above the lowest `dense_layers`, which are the `dense`
    model's, like all the rest. A route picks `per_route` experts a layer; a route a token is for MLPs only."""

    dense: Blend
    experts: tuple[Blend, ...]
    gates: Gates
    level: MixtureLevel = "ffn"
    route: RoutingUnit = "sample"
    per_route: int = 2
    dense_layers: int = 0

    def __post_init__(self) -> None:
        """Raises `MixtureError`, or `CheckpointError` where an expert has other tensors than the dense model."""
        config, folder = self.dense.checkpoint.config, self.dense.checkpoint.folder
        if config.get("model_type") not in KINDS:
            raise MixtureError(f"{folder}: model_type {config.get('model_type')!r} is none of {', '.join(KINDS)}")
        if config.get("sliding_window"):
            raise MixtureError(f"{folder}: sliding_window {config['sliding_window']}: layers here look at everything")
        check_layers(self.dense, self.experts)
        check_gates(self.gates, (self.layers, len(self.experts), int(config.get("hidden_size") or 0)))
        check_settings(self.settings())
        if self.dense_layers > self.layers:
            raise MixtureError(f"dense_layers is {self.dense_layers}, of {self.layers}")

    @property
    def layers(self) -> int:
        """Decoder layers of the dense model."""
        return int(self.dense.checkpoint.config.get("num_hidden_layers") or 0)

    def settings(self) -> dict[str, Any]:
        """What config.json says beyond the experts' own."""
        return {
            "level": self.level,
            "route": self.route,
            "gate": "mlp" if isinstance(self.gates, MLPGates) else "linear",
            "gate_width": self.gates.width if isinstance(self.gates, MLPGates) else 1,
            "experts": len(self.experts),
            "per_route": self.per_route,
            "dense_layers": self.dense_layers,
        }

    def config(self) -> dict[str, Any]:
        """As `config.json` of the result."""
        mine = self.dense.checkpoint.config
        kept = {key: mine[key] for key in (*KEPT, *MORE_KEPT) if mine.get(key) is not None}
        return {
            "architectures": ["GatedMixtureForCausalLM"],
            "model_type": MODEL_TYPE,
            **kept,
            **self.settings(),
            "tie_word_embeddings": self.dense.checkpoint.tied,
        }

    def write(self, out: Path) -> None:
        """Write the checkpoint, with the dense model's tokenizer; a tensor at a time. Raises `WriteError`."""
        infos = self.dense.checkpoint.tensors
        layout = {name: (infos[source].dtype, infos[source].shape) for name, source, _ in self._names()}
        kind = infos["model.embed_tokens.weight"].dtype
        gates = dict(self._gates())
        layout |= {name: (kind, values.shape) for name, values in gates.items()}
        with Writer(out, layout) as writer:
            for name, source, blend in self._names():
                writer.write(name, 0, bits(blend, source))
            for name, values in gates.items():
                writer.write(name, 0, encoded(np.ascontiguousarray(values, np.float32).reshape(-1), kind))
            (writer.folder / "config.json").write_text(json.dumps(self.config(), indent=2))
            copy_files(self.dense.checkpoint.folder, writer.folder)
            writer.finish()

    def _names(self) -> Iterator[tuple[str, str, Blend]]:
        """(name in the result, name in the source, source), gates apart."""
        for name in self.dense.checkpoint.tensors:
            layer, rest = self._part(name)
            if rest is None:
                yield name, name, self.dense
                continue
            for index, blend in enumerate((self.dense,) if layer < self.dense_layers else self.experts):
                yield f"model.layers.{layer}.experts.{index}.{rest}", name, blend

    def _part(self, name: str) -> tuple[int, str | None]:
        """(layer, name within the expert) of a tensor that experts have, else (0, None)."""
        if self.level == "ffn":
            layer, projection = mlp_part(name)
            return layer, projection and f"{projection}.{name.rpartition('.')[2]}"
        parts = name.split(".", 3)
        return (int(parts[2]), parts[3]) if parts[:2] == ["model", "layers"] and len(parts) == 4 else (0, None)

    def _gates(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        for layer in range(self.dense_layers, self.layers):
            for name, values in self.gates.tensors(layer).items():
                yield f"model.layers.{layer}.gate.{name}", values


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raises `MixtureError` naming the key of a mixture's configuration that cannot be."""
    for key, allowed in (("level", LEVELS), ("route", ROUTES), ("gate", GATES)):
        if settings[key] not in allowed:
            raise MixtureError(f"{key} is {settings[key]!r}, none of {', '.join(allowed)}")
    if (settings["level"], settings["route"]) == ("block", "token"):
        raise MixtureError("route is 'token' at level 'block': a layer's keys and values belong to one expert")
    bounds = {
        "experts": (2, MAX_EXPERTS),
        "per_route": (1, settings["experts"]),
        "gate_width": (1, MAX_WIDTH),
        "dense_layers": (0, 1_000_000),
    }
    for key, (minimum, maximum) in bounds.items():
        value = settings[key]
        if not isinstance(value, int) or not minimum <= value <= maximum:
            raise MixtureError(f"{key} is {value!r}, not a number from {minimum} to {maximum}")
