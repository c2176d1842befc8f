"""Read LoRA adapters as PEFT writes them, and add them to the weights of their base.

    adapter = Adapter(folder, base)
    adapter.changes["model.layers.0.self_attn.q_proj.weight"]     # what becomes of that tensor of the base

A change is one of four: a low-rank product is added (LoRA; of a Conv1D or an embedding transposed), its rows are
brought to trained lengths besides (DoRA), some rows are replaced (trainable token indices), or all is
(modules_to_save, trained biases). Everything else in the folder is refused by name.
https://arxiv.org/abs/2106.09685,
https://arxiv.org/abs/2402.09353.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merging.adapted_experts import ExpertSlice, expert_shares
from merging.adapter_config import lora_config, value_for
from merging.checkpoint import FLOATS, Checkpoint, CheckpointError, TensorInfo, read_header, ties, view
from merging.naming import EMBEDDINGS, HEADS, WRITES, LayerName, common_name, common_names
from merging.pickled import pickled_tensors

PICKLE = "adapter_model.bin"
_PREFIX = "base_model.model."
_KEPT_BASE = (".original_module.", ".modules_to_save.")
"""Copies that PEFT writes beside the trained module itself, where embeddings were resized."""
_PART = re.compile(
    r"(?P<module>.+)\.lora_(?P<part>A|B|embedding_A|embedding_B)(?:\.default)?(?P<tail>\.weight|\.bias|)"
)
_MAGNITUDE = re.compile(r"(?P<module>.+)\.lora_magnitude_vector(?:\.default)?(?:\.weight)?")
_TOKENS = re.compile(r"(?P<module>.+)\.token_adapter\.trainable_tokens_delta(?:\.default)?")


@dataclass(frozen=True, slots=True)
class LowRank:
    """What an adapter adds to one tensor: scale * up @ down; the product transposed where `turned`."""

    down: TensorInfo
    """A: (rank, columns)."""
    up: TensorInfo
    """B: (rows, rank)."""
    scale: float
    turned: bool = False
    """The base stores (in, out): up and down are B and A transposed, in each other's place."""
    share: ExpertSlice | None = None
    """Of the A and B of all experts of a layer."""


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one tensor of the base. Beside `whole` there may be `added`, and nothing else."""

    whole: TensorInfo | None = None
    rows: TensorInfo | None = None
    places: tuple[int, ...] = ()
    """Of `rows` in the base's tensor."""
    pair: LowRank | None = None
    magnitude: TensorInfo | None = None
    added: tuple[TensorInfo, float] | None = None
    """Added as it is, times a factor (the bias of a LoRA layer)."""


class Adapter:
    """An adapter over `base`: `adapter_config.json` and `adapter_model.safetensors`."""

    def __init__(self, folder: Path, base: Checkpoint, allow_bin: bool = False) -> None:
        """`allow_bin`: read adapter_model.bin too, through torch's weights-only loader.

        Raises `CheckpointError` naming the first tensor or key that does not fit `base`.
        """
        self.folder, self.base = Path(folder), base
        if not self.folder.is_dir():
            raise CheckpointError(f"{self.folder}: no such folder")
        self.file = self.folder / "adapter_model.safetensors"
        pickled = not self.file.exists() and (self.folder / PICKLE).exists()
        if pickled and not allow_bin:
            raise CheckpointError(
                f"{self.folder}: {PICKLE} is a pickle, which can run code when it is read; --allow-bin reads it "
                "through torch's weights-only loader"
            )
        self.file = self.folder / PICKLE if pickled else self.file
        self.config = lora_config(self.folder / "adapter_config.json")
        infos, self._arrays = pickled_tensors(self.file) if pickled else (read_header(self.file), {})
        self._map = None if pickled else np.memmap(self.file, dtype=np.uint8, mode="c")
        reader = _Reader(self.file, infos, self.config, base, self.tensor)
        self.changes: Mapping[str, Change] = MappingProxyType(dict(reader.changes()))
        """By the base's name of the tensor."""
        self.head: Change | None = reader.head
        """What the output layer becomes where `base` ties it to the embedding and the adapter parts the two; without
        any change: what the embedding was."""
        self.left_out: tuple[str, ...] = tuple(reader.left_out)
        """Tensors of the file that change nothing: copies of the base's."""
        self.pairs: Mapping[str, LowRank] = MappingProxyType(
            {name: change.pair for name, change in self.changes.items() if change.pair}
        )

    @property
    def bytes(self) -> int:
        """Size of the weights file."""
        return self.file.stat().st_size

    def other_base(self, *names: str | Path) -> str | None:
        """The base that it says it was trained over, if that has none of these names (paths or hub ids of one model).
        Shapes alone do not tell a model from its next version."""
        said = str(self.config.get("base_model_name_or_path") or "")
        known = {part.lower() for name in names for part in Path(name).parts}
        cached = {part.rpartition("--")[2] for part in known if part.startswith("models--")}
        name = Path(said).name.lower()
        return said[:200] if name and name not in known | cached else None

    @property
    def low_rank_only(self) -> bool:
        """It is a sum of products, as engines serve beside a base."""
        plain = all(not pair.turned and pair.share is None for pair in self.pairs.values())
        sums = plain and all(map(self.adds_product, self.pairs))
        return sums and set(self.pairs) == set(self.changes) and self.head is None

    def adds_product(self, name: str) -> bool:
        """All that becomes of the base's tensor is that a low-rank product is added."""
        return self.changes[name] == Change(pair=self.changes[name].pair)

    def arrays(self, name: str) -> tuple[NDArray[Any], NDArray[Any], float]:
        """(A, B, scale) for the base's tensor `name`; A (rank, columns), B (rows, rank), as stored."""
        pair = self.pairs[name]
        down, up = self.tensor(pair.down), self.tensor(pair.up)
        if share := pair.share:
            down = np.ascontiguousarray(down.reshape(share.experts, -1, down.shape[1])[share.expert])
            held = up.reshape(len(up), -1, share.experts)
            up = np.ascontiguousarray(held[share.first : share.last, :, share.expert])
        if pair.turned:
            down, up = np.ascontiguousarray(down.T), np.ascontiguousarray(up.T)
        return down, up, pair.scale

    def tensor(self, info: TensorInfo) -> NDArray[Any]:
        """A tensor of the adapter's file, as stored, in the shape of `info`."""
        return self._arrays[info.name] if self._map is None else view(info, self._map)


class _Reader:
    """From the names in an adapter's file to changes of its base's tensors."""

    def __init__(
        self,
        file: Path,
        infos: Mapping[str, TensorInfo],
        config: dict[str, Any],
        base: Checkpoint,
        array: Callable[[TensorInfo], NDArray[Any]],
    ) -> None:
        self.file, self.infos, self.config, self.base, self.array = file, infos, config, base, array
        self.left_out: list[str] = []
        self.head: Change | None = None
        self._common = common_names(base.tensors)

    def changes(self) -> Iterator[tuple[str, Change]]:
        halves: dict[str, dict[str, TensorInfo]] = {}
        found: dict[str, Change] = {}
        for name, info in self.infos.items():
            if info.dtype not in FLOATS:
                raise CheckpointError(f"{self.file}: tensor {name!r} is {info.dtype}, wanted floats")
            plain = name.removeprefix(_PREFIX)
            if part := _PART.fullmatch(plain):
                halves.setdefault(part["module"], {})[
                    part["part"] + (part["tail"] if part["tail"] == ".bias" else "")
                ] = info
            elif part := _MAGNITUDE.fullmatch(plain):
                halves.setdefault(part["module"], {})["magnitude"] = info
            elif part := _TOKENS.fullmatch(plain):
                target = self._weight(name, part["module"])
                self._put(found, target, self._tokens(name, info, target, part["module"]))
            elif any(kept in plain for kept in _KEPT_BASE):
                self.left_out.append(name)
            else:
                self._saved(found, name, plain, info)
        for module, parts in halves.items():
            self._low_rank(found, module, parts)
        self._part_head(found)
        if not found and self.head is None:
            raise CheckpointError(f"{self.file}: no tensor that changes {self.base.folder}")
        yield from found.items()

    def _put(self, found: dict[str, Change], target: str, change: Change) -> None:
        if target in found:
            raise CheckpointError(f"{self.file}: two changes of {target!r}")
        found[target] = change

    def _name(self, name: str, wanted: str) -> str:
        """The base's own name of a tensor. Raises `CheckpointError`."""
        own = wanted if wanted in self.base.tensors else self._common.get(common_name(wanted))
        if own is None and common_name(wanted) in HEADS:
            own = next((self._common[name] for name in HEADS if name in self._common), self._tied_embedding)
        if own is None and ".mlp." in wanted:
            # Mixtral's router: checkpoints hold the former name.
            own = self._common.get(common_name(wanted.replace(".mlp.", ".block_sparse_moe.")))
        if own is None and wanted.endswith(".decoder.bias"):
            # BERT's output layer shares its bias with the module around it.
            own = self._common.get(common_name(f"{wanted.removesuffix('.decoder.bias')}.bias"))
        if own is None:
            raise CheckpointError(f"{self.file}: tensor {name!r}: {self.base.folder} has no {wanted}")
        return own

    @property
    def _architecture(self) -> str:
        named = self.base.config.get("architectures")
        return str(named[0]) if isinstance(named, list) and named else ""

    @cached_property
    def _tied_embedding(self) -> str | None:
        """The base's embedding, where that is its output layer too."""
        if HEADS & set(self._common) or ties(self.base.config) is False:
            return None
        return next((self._common[name] for name in EMBEDDINGS if name in self._common), None)

    def _part_head(self, found: Mapping[str, Change]) -> None:
        """PEFT replaces one of two modules that share a tensor. Where it replaced the embedding, the output layer is
        what the embedding was, unless the file has that too."""
        embedding, saved = self._tied_embedding, self.head and self.head.whole
        if embedding is None or not self._architecture.endswith((*WRITES, "ForMaskedLM", "ForPreTraining")):
            return
        whole = found[embedding].whole if embedding in found else None
        if saved and whole and saved.dtype == whole.dtype and np.array_equal(self.array(saved), self.array(whole)):
            self.left_out.append(saved.name)
            self.head = None
        elif whole and not saved and whole.shape == self.base.tensors[embedding].shape:
            self.head = Change()
        if self.head is not None and (not self._architecture.endswith(WRITES) or "Whisper" in self._architecture):
            raise CheckpointError(
                f"{self.file}: replaces one of embedding and output layer, which {self._architecture} ties"
            )

    def _weight(self, name: str, module: str) -> str:
        return self._name(name, f"{module}.weight")

    def _saved(self, found: dict[str, Change], name: str, plain: str, info: TensorInfo) -> None:
        """A whole tensor: trained (modules_to_save, a bias), or the base's own beside a trained one."""
        own = plain.replace(".base_layer.", ".")
        target = self._name(name, own)
        if ".base_layer." in plain and own.endswith(".weight"):
            # PEFT saves embeddings that it adapts, and their rows are trained only where they were resized.
            if info.shape == self.base.tensors[target].shape:
                self.left_out.append(name)
                return
            raise CheckpointError(f"{self.file}: tensor {name!r} resizes an adapted embedding, which is not supported")
        tied_head = common_name(own) in HEADS and target == self._tied_embedding
        before = found[target].whole if target in found and not tied_head else None
        if before and before.dtype == info.dtype and np.array_equal(self.array(before), self.array(info)):
            self.left_out.append(name)
            return
        held = self.base.tensors[target].shape
        if info.shape[1:] != held[1:] or (info.shape != held and common_name(target).startswith(("layers.", "h."))):
            raise CheckpointError(f"{self.file}: tensor {name!r} is {list(info.shape)}, {target!r} {list(held)}")
        if tied_head:
            self.head = Change(whole=info)
        else:
            self._put(found, target, Change(whole=info))

    def _tokens(self, name: str, info: TensorInfo, target: str, module: str) -> Change:
        given = self.config.get("trainable_token_indices")
        if isinstance(given, dict):
            given = next((ids for key, ids in given.items() if module == key or module.endswith(f".{key}")), None)
        shape = self.base.tensors[target].shape
        if not isinstance(given, list) or not all(type(id) is int and 0 <= id < shape[0] for id in given):
            raise CheckpointError(f"{self.file}: trainable_token_indices are no rows of {target!r} {list(shape)}")
        if info.shape != (len(given), *shape[1:]):
            raise CheckpointError(
                f"{self.file}: tensor {name!r} is {list(info.shape)}, wanted {[len(given), *shape[1:]]}"
            )
        return Change(rows=info, places=tuple(given))

    def _turned(self, target: str) -> bool:
        """The base stores this layer as (in, out), as GPT-2 does.

        By the base's shapes: PEFT corrects `fan_in_fan_out` layer by layer, and saves what the last layer made of it.
        """
        layer = LayerName.of(target)
        return layer is not None and layer.head in self._turned_towers

    @cached_property
    def _turned_towers(self) -> set[str]:
        layers = ((name, LayerName.of(name)) for name in self.base.tensors if name.endswith(".weight"))
        return {layer.head for name, layer in layers if layer and _stands_turned(self.base, name)}

    def _low_rank(self, found: dict[str, Change], module: str, parts: dict[str, TensorInfo]) -> None:
        kinds = ("embedding_A", "embedding_B") if "embedding_A" in parts else ("A", "B")
        if not set(kinds) <= set(parts):
            raise CheckpointError(f"{self.file}: {module} has lora_{'/'.join(sorted(parts))} only")
        down, up = (parts[kind] for kind in kinds)
        if module.removesuffix(".base_layer").endswith(".experts"):
            self._experts(found, module.removesuffix(".base_layer"), parts)
            return
        target = self._weight(down.name, module)
        shape, turned = self.base.tensors[target].shape, "embedding_A" in parts or self._turned(target)
        if len(shape) != 2 or len(down.shape) != 2 or down.shape[0] < 1:
            raise CheckpointError(
                f"{self.file}: tensor {down.name!r}: LoRA of {target!r} {list(shape)} is not supported"
            )
        rank = down.shape[0]
        for info, wanted in zip((down, up), _shapes(shape, rank, turned), strict=True):
            if info.shape != wanted:
                raise CheckpointError(
                    f"{self.file}: tensor {info.name!r} is {info.dtype} {list(info.shape)}, wanted a float "
                    f"{list(wanted)} for {target!r} {list(shape)} at rank {rank}"
                )
        scale = self._scale(module, rank, down.name)
        pair = LowRank(up, down, scale, True) if turned else LowRank(down, up, scale)
        magnitude = parts.get("magnitude")
        if magnitude is not None and math.prod(magnitude.shape) != shape[1 if turned else 0]:
            raise CheckpointError(
                f"{self.file}: tensor {magnitude.name!r} {list(magnitude.shape)} does not fit {target!r}"
            )
        rows, places = (found[target].rows, found[target].places) if target in found else (None, ())
        if target in found and self._twice(found[target], pair, magnitude):
            self.left_out += [down.name, up.name]
            return
        if target in found and target == self._tied_embedding:
            raise CheckpointError(
                f"{self.file}: {module} is adapted beside the other of embedding and output layer, which "
                f"{self.base.folder} ties: the two would no longer be one tensor"
            )
        if target in found and (rows is None or magnitude is not None):
            raise CheckpointError(f"{self.file}: {module} is adapted and replaced at once")
        found[target] = Change(rows=rows, places=places, pair=pair, magnitude=magnitude)
        if bias := parts.get("B.bias"):
            own = self._name(bias.name, f"{module}.bias")
            if bias.shape != self.base.tensors[own].shape:
                raise CheckpointError(f"{self.file}: tensor {bias.name!r} does not fit {own!r}")
            found[own] = Change(whole=found[own].whole if own in found else None, added=(bias, scale))

    def _experts(self, found: dict[str, Change], module: str, parts: Mapping[str, TensorInfo]) -> None:
        """A and B of all experts of a layer."""
        down, up = parts["A"], parts["B"]
        version = str(self.config.get("peft_version") or "")
        held = expert_shares(module, down, up, self.base.tensors, self._common, version)
        scale = self._scale(f"{module}.{held.parameter}", held.rank, down.name)
        if up.shape[1] != down.shape[0] or len(parts) != 2:
            raise CheckpointError(f"{self.file}: {module} has lora_{'/'.join(sorted(parts))} do not fit")
        for target, share in held.shares.items():
            self._put(found, target, Change(pair=LowRank(down, up, scale, share=share)))

    def _scale(self, module: str, rank: int, name: str) -> float:
        stated = value_for(self.config.get("rank_pattern"), module, self.config["r"])
        if rank != stated:
            raise CheckpointError(f"{self.file}: tensor {name!r} has rank {rank}, its configuration says {stated:g}")
        alpha = value_for(self.config.get("alpha_pattern"), module, self.config["lora_alpha"])
        return alpha / (math.sqrt(rank) if self.config.get("use_rslora") else rank)

    def _twice(self, before: Change, pair: LowRank, magnitude: TensorInfo | None) -> bool:
        """An output layer that is tied to its embedding is adapted with the embedding's own product, turned."""
        held = before.pair
        if held is None or magnitude is not None or before.magnitude is not None or held.scale != pair.scale:
            return False
        # Both stand as `down` and `up` of the same matrix.
        one, other = ((self._laid(each.down, each), self._laid(each.up, each)) for each in (held, pair))
        return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))

    def _laid(self, info: TensorInfo, pair: LowRank) -> NDArray[Any]:
        return self.array(info).T if pair.turned else self.array(info)


def _stands_turned(base: Checkpoint, name: str) -> bool:
    """A matrix of inputs by outputs, with a bias for each output, where a linear layer has outputs by inputs."""
    shape, bias = base.tensors[name].shape, base.tensors.get(f"{name.removesuffix('.weight')}.bias")
    return bias is not None and len(shape) == 2 and shape[0] != shape[1] and bias.shape == (shape[1],)


def _shapes(shape: tuple[int, ...], rank: int, turned: bool) -> tuple[tuple[int, int], tuple[int, int]]:
    """Of A and B over a base tensor of this shape."""
    rows, columns = reversed(shape) if turned else shape
    return (rank, columns), (rows, rank)
