"""A mixture at FFN level: several models of one shape as one checkpoint of experts, in Mixtral's layout.

Model-GLUE, https://arxiv.org/abs/2410.05357, section 4.4 (F-L-T: FFN level, linear gate, a route a token). All but the
MLPs comes from one dense model; the experts are the models' MLPs; a gate in each layer picks `per_token` of them. vLLM
and transformers load the result as they are. Layout: transformers' MixtralForCausalLM.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merging.checkpoint import STORAGE
from merging.gates import LinearGates, MixtureError, check_gates
from merging.naming import LayerName
from merging.processor import encoded
from merging.stream import Blend, compare
from merging.tokenizer import copy_files
from merging.writer import Writer

PROJECTIONS = {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}
"""Of a Llama MLP, and their names in Mixtral's experts."""
KINDS = ("llama", "mistral")
KEPT = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "max_position_embeddings",
    "initializer_range",
    "rms_norm_eps",
    "rope_parameters",
    "rope_theta",
    "rope_scaling",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "dtype",
    "torch_dtype",
)


@dataclass(frozen=True)
class Mixture:
    """`dense` gives all but the MLPs, and the MLPs of the lowest `dense_layers` (hybrid); `experts` give the rest.

    In a dense layer all experts are the same, so that any route is the dense one.
    """

    dense: Blend
    experts: tuple[Blend, ...]
    gates: LinearGates
    per_token: int = 2
    dense_layers: int = 0

    def __post_init__(self) -> None:
        """Raises `MixtureError`, or `CheckpointError` where an expert has other tensors than the dense model."""
        config, folder = self.dense.checkpoint.config, self.dense.checkpoint.folder
        if config.get("model_type") not in KINDS:
            raise MixtureError(f"{folder}: model_type {config.get('model_type')!r} is none of {', '.join(KINDS)}")
        check_layers(self.dense, self.experts)
        for name in self.dense.checkpoint.tensors:
            if name.endswith(".bias"):
                raise MixtureError(f"{folder}: tensor {name!r}: Mixtral's layout has no biases")
        wanted = (self.layers, len(self.experts), int(config.get("hidden_size") or 0))
        check_gates(self.gates, wanted)
        if not 1 <= self.per_token <= len(self.experts):
            raise MixtureError(f"per_token is {self.per_token}, with {len(self.experts)} experts")
        if not 0 <= self.dense_layers <= self.layers:
            raise MixtureError(f"dense_layers is {self.dense_layers}, of {self.layers}")

    @property
    def layers(self) -> int:
        """Decoder layers of the dense model."""
        return int(self.dense.checkpoint.config.get("num_hidden_layers") or 0)

    def config(self) -> dict[str, Any]:
        """As `config.json` of the result."""
        mine = self.dense.checkpoint.config
        return {
            "architectures": ["MixtralForCausalLM"],
            "model_type": "mixtral",
            **{key: mine[key] for key in KEPT if mine.get(key) is not None},
            "num_local_experts": len(self.experts),
            "num_experts_per_tok": self.per_token,
            "sliding_window": mine.get("sliding_window"),
            "tie_word_embeddings": False,
        }

    def write(self, out: Path) -> None:
        """Write the checkpoint, with the dense model's tokenizer; a tensor at a time. Raises `WriteError`."""
        with Writer(out, {name: (dtype, shape) for name, dtype, shape in self._layout()}) as writer:
            for name, bits in self._tensors():
                writer.write(name, 0, bits)
            (writer.folder / "config.json").write_text(json.dumps(self.config(), indent=2))
            copy_files(self.dense.checkpoint.folder, writer.folder)
            writer.finish()

    def _layout(self) -> Iterator[tuple[str, str, tuple[int, ...]]]:
        """(name, type, shape) of every tensor of the result."""
        for name, source, _ in self._names():
            info = self.dense.checkpoint.tensors[source]
            yield name, info.dtype, info.shape
        for layer in range(self.layers):
            yield _gate(layer), self._gate_type, self.gates.shape[1:]

    @property
    def _gate_type(self) -> str:
        return self.dense.checkpoint.tensors["model.embed_tokens.weight"].dtype

    def _names(self) -> Iterator[tuple[str, str, Blend]]:
        """(name in the result, name in the source, source), gates apart."""
        for name in self.dense.checkpoint.tensors:
            layer, projection = mlp_part(name)
            if projection is None:
                yield name, name, self.dense
                continue
            for index, expert in enumerate(self.experts):
                moe = f"model.layers.{layer}.block_sparse_moe.experts.{index}.{PROJECTIONS[projection]}.weight"
                yield moe, name, self.dense if layer < self.dense_layers else expert
        if "lm_head.weight" not in self.dense.checkpoint.tensors:
            yield "lm_head.weight", "model.embed_tokens.weight", self.dense

    def _tensors(self) -> Iterator[tuple[str, NDArray[Any]]]:
        for name, source, blend in self._names():
            yield name, bits(blend, source)
        for layer in range(self.layers):
            gate = np.ascontiguousarray(self.gates.rows[layer], np.float32).reshape(-1)
            yield _gate(layer), encoded(gate, self._gate_type)


def check_layers(dense: Blend, experts: tuple[Blend, ...]) -> None:
    """Raises `CheckpointError` where an expert has other tensors than the dense model, `MixtureError` where a
    configuration names another number of layers than there are: a loader would leave some out."""
    held = 1 + max((layer.number for layer in map(LayerName.of, dense.checkpoint.tensors) if layer), default=-1)
    for blend in (dense, *experts):
        if packed := blend.checkpoint.config.get("quantization_config"):
            how = packed.get("quant_method") if isinstance(packed, dict) else packed
            raise MixtureError(
                f"{blend.checkpoint.folder}: quantised ({str(how)[:40]}): mixtures take plain weights; a merge of this "
                "model alone (merge_method: linear, dtype: bfloat16) writes them"
            )
        compare(dense.checkpoint, blend.checkpoint)
        said = blend.checkpoint.config.get("num_hidden_layers")
        if said != held:
            folder = blend.checkpoint.folder
            raise MixtureError(f"{folder}: config.json says num_hidden_layers {said}, its tensors are of {held} layers")


def bits(blend: Blend, name: str) -> NDArray[Any]:
    """The tensor's bits as they are stored, in its own shape."""
    import torch

    tensor = blend.tensor(name)
    stored = np.dtype(STORAGE[blend.checkpoint.tensors[name].dtype])
    return (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy().view(stored)


def mlp_part(name: str) -> tuple[int, str | None]:
    """The layer and projection of an MLP's tensor, else (0, None)."""
    parts = name.split(".")
    if len(parts) == 6 and parts[3] == "mlp" and parts[4] in PROJECTIONS:
        return int(parts[2]), parts[4]
    return 0, None


def _gate(layer: int) -> str:
    return f"model.layers.{layer}.block_sparse_moe.gate.weight"
