"""Where a tensor stands in its model, read from its name: in which layer, or before or after them all."""

from __future__ import annotations

import re
from dataclasses import dataclass

from merging.checkpoint import Checkpoint

COUNT_KEYS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_LAYER = re.compile(r"(?P<head>(?:.*?\.)?(?:layers|layer|h|blocks|block)\.)(?P<number>\d{1,6})(?P<tail>\..+)")
_FIRST = ("embed_tokens", "wte", "wpe", "word_embeddings", "embed_in", "tok_embeddings", "position_embeddings")


@dataclass(frozen=True, slots=True)
class LayerName:
    """A tensor's name, taken apart: head, layer, tail."""

    head: str
    number: int
    tail: str

    @staticmethod
    def of(name: str) -> LayerName | None:
        """None if the tensor belongs to no layer."""
        match = _LAYER.fullmatch(name)
        return LayerName(match["head"], int(match["number"]), match["tail"]) if match else None

    def numbered(self, number: int) -> str:
        """The name of the same tensor in layer `number`."""
        return f"{self.head}{number}{self.tail}"


def outer_order(name: str) -> int:
    """0: before the layers (embeddings), 1: after them."""
    return 0 if any(part in name for part in _FIRST) else 1


def count_key(checkpoint: Checkpoint) -> str | None:
    """The key of config.json that holds the number of layers; None where there is none."""
    return next((key for key in COUNT_KEYS if isinstance(checkpoint.config.get(key), int)), None)


def layer_count(checkpoint: Checkpoint) -> int:
    """Layers of the checkpoint, counted by its tensors."""
    return max((layer.number for layer in map(LayerName.of, checkpoint.tensors) if layer), default=-1) + 1
