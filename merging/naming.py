"""One name for a tensor that checkpoints of one architecture store under several.

Libraries wrap models in different ways and rename the wrappers with each version: GPT-2's `h.0.attn.c_attn.weight`
is saved today as `transformer.h.0.attn.c_attn.weight`, LLaVA's `language_model.model.layers.0...` was for a time
`model.language_model.layers.0...`, and a text model inside a vision-language model has another prefix than alone. The
common name leaves the wrappers out: `layers.0...`, `vision_tower.encoder.layers.0...`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

WRAPPERS = frozenset(
    {"model", "transformer", "language_model", "base_model", "backbone", "gpt_neox", "bert", "roberta", "distilbert"}
    | {"electra", "deberta", "camembert", "mpnet", "module", "_orig_mod"}
)
"""Modules that only hold others: whether a name has them depends on the class and version that saved it."""
TRAINING = ("base_model.model.", "module.", "_orig_mod.")
"""What PEFT, DataParallel and torch.compile put in front of all names, and no loader of models knows."""
VISION = ("vision_tower", "vision_model")
"""The second is a wrapper inside the first."""
HEAD = "lm_head.weight"
HEADS = frozenset(
    {HEAD, "embed_out.weight", "proj_out.weight", "decoder.weight", "cls.predictions.decoder.weight"}
    | {"lm_head.decoder.weight", "vocab_projector.weight", "generator_lm_head.weight"}
)
"""Common names of the output layer with a row for each token."""
CAUSAL = ("ForCausalLM", "LMHeadModel")
WRITES = (*CAUSAL, "ForConditionalGeneration")
"""Ends of the names of architectures that write text."""
EMBEDDINGS = (
    *("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight", "embeddings.weight"),
    *("embeddings.word_embeddings.weight", "embeddings.tok_embeddings.weight", "tok_embeddings.weight"),
    *("shared.weight", "decoder.embed_tokens.weight", "encoder.embed_tokens.weight"),
)
"""Common names of the matrix with a row for each token."""
_OLD_NORM = re.compile(r"(LayerNorm|layer_norm)\.(gamma|beta)$")
_LAYER = re.compile(r"(?P<head>(?:.*?\.)?(?:layers|layer|h|blocks|block|resblocks)\.)(?P<number>\d{1,6})(?P<tail>\..+)")


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
        """The name with this number in its place."""
        return f"{self.head}{number}{self.tail}"


def common_names(names: Iterable[str]) -> dict[str, str]:
    """Common name -> stored name. A model in which two tensors would get one name keeps its own names."""
    names = list(names)
    found = {common_name(name): name for name in names}
    return found if len(found) == len(names) else {name: name for name in names}


def loadable_names(names: Iterable[str]) -> dict[str, str]:
    """Stored name -> the name without what a training library has put in front of all of them."""
    found = {name: name for name in names}
    while prefix := next((p for p in TRAINING if found and all(n.startswith(p) for n in found.values())), None):
        found = {name: bare.removeprefix(prefix) for name, bare in found.items()}
    return found


def common_name(name: str) -> str:
    """The name without wrappers. What stands behind the first layer number is never touched."""
    parts = name.split(".")
    kept: list[str] = []
    for place, part in enumerate(parts):
        if part.isdigit() or place >= len(parts) - 1:
            kept += parts[place:]
            break
        if part in WRAPPERS or (part == VISION[1] and kept == [VISION[0]]):
            continue
        kept.append(part)
    return _OLD_NORM.sub(lambda old: f"{old[1]}.{'weight' if old[2] == 'gamma' else 'bias'}", ".".join(kept))


def is_mask(name: str, shape: tuple[int, ...]) -> bool:
    """A causal mask that old versions stored: GPT-2's `attn.bias`, square, where `attn.c_attn.bias` is a bias."""
    last = name.rsplit(".", 2)[-2:]
    return last in (["attn", "bias"], ["attention", "bias"]) and len(shape) == 4 and shape[-1] == shape[-2]


def stored_like(common: str, stored: Mapping[str, str]) -> str:
    """What a model whose tensors are `stored` (common name -> stored name) would call a tensor that it lacks."""
    if common == HEAD and any(name.startswith("language_model.model.") for name in stored.values()):
        return f"language_model.{HEAD}"
    first = common.split(".")[0]
    for other, name in stored.items():
        if other.split(".")[0] == first and name.endswith(other):
            return name.removesuffix(other) + common
    return common
