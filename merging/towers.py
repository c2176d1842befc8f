"""The stacks of layers in a model: one in a decoder, several where another half sees, hears or encodes.

A tower is known by the numbers in its tensors' names, and config.json by the number of layers it states for it. The
number is written under different keys (`num_hidden_layers`, `n_layer`, `depth`, `encoder_layers`), at the top or in
the tower's own section (`text_config`, `vision_config`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from merging.checkpoint import CheckpointError
from merging.naming import LayerName

COUNT_KEYS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers", "depth", "num_blocks")
TEXT = "text_decoder"
ALIASES: Mapping[str, tuple[str, ...]] = {
    TEXT: ("text", "language_model", "text_model", "decoder", "model", "default"),
    "vision_tower": ("vision", "vision_model", "visual"),
    "visual": ("vision", "vision_model", "vision_tower"),
    "vision_model": ("vision", "visual", "vision_tower"),
    "audio_tower": ("audio", "audio_model"),
}
"""Other names by which a recipe may call a tower; the first is ours, as mergekit has it."""
_FIRST = ("embed", "wte", "wpe", "tok_emb", "pos_emb", "shared.weight", "patch", "conv1", "conv2", "class_token")
_LAST = ("embed_out", "lm_head", "proj_out")
_STACKS = ("layers", "layer", "h", "blocks", "block", "resblocks")
_BESIDE = ("mtp", "nextn", "eagle")
"""Towers that predict further tokens: they belong to the text's, and nobody slices them."""


@dataclass(frozen=True)
class Tower:
    """`head` is what its tensors' common names begin with; `layers` counts them, `extra` those beyond config.json's."""

    head: str
    layers: int
    extra: int = 0

    @property
    def name(self) -> str:
        """The name that slices and modules use for it."""
        first = self.head.split(".")[0]
        return TEXT if first in _STACKS else first

    def called(self, name: str) -> bool:
        """Whether a recipe means it by this name."""
        return name == self.name or name in ALIASES.get(self.name, ())


def towers_of(names: Iterable[str], config: Mapping[str, Any]) -> dict[str, Tower]:
    """The towers among tensors with these common names, by head; first the one that writes text."""
    held: dict[str, int] = {}
    for layer in filter(None, map(LayerName.of, names)):
        held[layer.head] = max(held.get(layer.head, 0), layer.number + 1)
    found = {}
    for head, count in held.items():
        tower = Tower(head, count)
        stated = [value for _, _, value in count_keys(tower, config)]
        # More layers than stated: the last ones predict further tokens (DeepSeek's, GLM's).
        extra = count - max(stated) if tower.name == TEXT and stated and 0 < max(stated) < count else 0
        found[head] = Tower(head, count - extra, extra)
    return dict(sorted(found.items(), key=lambda item: item[1].name not in (TEXT, "decoder")))


def sliceable(towers: Iterable[Tower]) -> list[Tower]:
    """The towers whose layers a slice may choose."""
    return [tower for tower in towers if tower.name not in _BESIDE]


def outer_order(name: str) -> int:
    """0: before the layers (embeddings), 1: after them."""
    return 0 if any(part in name for part in _FIRST) and not any(part in name for part in _LAST) else 1


def section_of(tower: Tower, config: Mapping[str, Any]) -> str | None:
    """The key of the section of config.json that describes the tower; None: the top level."""
    wanted = {TEXT: "text", "decoder": "text"}.get(tower.name)
    kind = wanted or next((word for word in ("vis", "audio", "image", "speech") if word in tower.name), None)
    kind = {"image": "vision", "vis": "vision", "speech": "audio"}.get(kind or "", kind)
    names = {"text": ("text_config", "llm_config", "language_config")}.get(kind or "", (f"{kind}_config",))
    return next((name for name in names if isinstance(config.get(name), dict)), None)


def count_keys(tower: Tower, config: Mapping[str, Any]) -> list[tuple[str | None, str, int]]:
    """(section, key, value) of every key that states this tower's number of layers."""
    section = section_of(tower, config)
    inner = config[section] if section else config
    side = tower.name if tower.name in ("encoder", "decoder") else None
    keys: tuple[str, ...] = COUNT_KEYS
    if side and f"{side}_layers" in inner:
        keys = (f"{side}_layers", *(("num_hidden_layers",) if side == "encoder" else ()))
    elif side == "decoder" and "num_decoder_layers" in inner:
        keys = ("num_decoder_layers",)
    return [(section, key, inner[key]) for key in keys if type(inner.get(key)) is int]


def check_counts(towers: Mapping[str, Tower], config: Mapping[str, Any], label: str) -> None:
    """Raises `CheckpointError` where the text's layers are fewer than config.json says: a part is missing."""
    for tower in list(towers.values())[:1]:
        section = section_of(tower, config)
        for key in COUNT_KEYS:
            value = (config[section] if section else config).get(key)
            if value is not None and (type(value) is not int or value < 0):
                raise CheckpointError(f"{label}: config.json: {key} is {str(value)[:40]!r}, no whole number")
        for where, key, value in count_keys(tower, config):
            if value > tower.layers and tower.name == TEXT and key in COUNT_KEYS[:1]:
                full = f"{where}.{key}" if where else key
                raise CheckpointError(
                    f"{label}: config.json says {full} {value}, but there are tensors of {tower.layers} layers only"
                )
