"""Read GGUF files as checkpoints: names and config as transformers has them, tensors widened block by block as asked.

Quantised tensors look like float32 ones; what is stored as F32, F16 or BF16 comes as it is. The file's tokenizer is
not converted. Read: the architectures `llama` (also Mistral's) and `qwen2`, without scaled rotary frequencies.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, read by ggml's own package (`gguf`).
"""

from __future__ import annotations

import re
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merging.checkpoint import Checkpoint, CheckpointContent, CheckpointError, TensorInfo

_OUTER = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_INNER = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_output": "self_attn.o_proj",
    **{f"attn_{part}": f"self_attn.{part}_proj" for part in "qkv"},
    **{f"ffn_{part}": f"mlp.{part}_proj" for part in ("gate", "up", "down")},
}
_NAME = re.compile(r"blk\.(?P<layer>\d{1,6})\.(?P<kind>[a-z_]+)\.(?P<part>weight|bias)")
ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}
_STORED = {"F32": ("F32", "<f4"), "F16": ("F16", "<f2"), "BF16": ("BF16", "<u2")}
_BROKEN = (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError)
"""What ggml's reader raises where a file lies about itself."""


class GgufCheckpoint(Checkpoint):
    """One GGUF file. `folder` is the file itself: there is nothing beside it that belongs to it."""

    def __init__(self, file: Path) -> None:
        """Raises `CheckpointError`: no GGUF, another architecture, contradictory sizes, or no package `gguf`."""
        try:
            from gguf import GGUFReader
        except ImportError:
            raise CheckpointError(f"{file}: GGUF files are read with the package gguf: pip install gguf") from None
        self.folder = file
        try:
            super().__init__(file, self._read(GGUFReader(file)))
            for name in self.tensors:
                self._order(name)
        except OSError as error:
            raise CheckpointError(f"{file}: cannot be read: {error.strerror}") from error
        except CheckpointError:
            raise
        except _BROKEN as error:
            message = " ".join(str(error).split())[:200]
            raise CheckpointError(f"{file}: truncated, or not a GGUF file: {type(error).__name__}: {message}") from None

    def _read(self, reader: Any) -> CheckpointContent:
        kind = _value(reader, "general.architecture")
        if kind not in ARCHITECTURES:
            raise CheckpointError(
                f"{self.folder}: architecture {str(kind)[:40]!r} is none of {', '.join(ARCHITECTURES)}"
            )
        config = _config(self.folder, reader, kind)
        self._heads = config["num_attention_heads"], config["num_key_value_heads"]
        self._turned = kind == "llama"
        self._parts: dict[str, tuple[Any, NDArray[Any]]] = {}
        infos: dict[str, TensorInfo] = {}
        for tensor in reader.tensors:
            name = _transformers_name(self.folder, tensor.name)
            shape = tuple(int(size) for size in reversed(tensor.shape.tolist()))
            rows = tensor.data.reshape(-1, tensor.data.shape[-1])
            stored, bits = _STORED.get(tensor.tensor_type.name, ("F32", None))
            if bits:
                rows = rows.view(bits)
            if not shape or min(shape) < 1 or rows.shape[0] != int(np.prod(shape[:-1], dtype=np.int64)):
                raise CheckpointError(f"{self.folder}: tensor {tensor.name[:80]!r}: bad shape {list(shape)[:8]}")
            found = self._widened(None if bits else tensor.tensor_type, rows[:1])
            if found.shape[1] != shape[-1] or name in infos:
                raise CheckpointError(f"{self.folder}: tensor {tensor.name[:80]!r}: contradictory, or there twice")
            start = int(tensor.data_offset)
            infos[name] = TensorInfo(name, stored, shape, self.folder, start, start + int(tensor.n_bytes))
            self._parts[name] = (None if bits else tensor.tensor_type), rows
        if "model.embed_tokens.weight" not in infos:
            raise CheckpointError(f"{self.folder}: no token_embd.weight among its {len(infos)} tensors")
        tied = "lm_head.weight" not in infos
        config |= {"tie_word_embeddings": tied, "vocab_size": infos["model.embed_tokens.weight"].shape[0]}
        return CheckpointContent(config, (self.folder,), MappingProxyType(infos), tied)

    def _widened(self, kind: Any, rows: NDArray[Any]) -> NDArray[Any]:
        from gguf.quants import dequantize

        try:
            # Scales that are not numbers are reported by whoever merges them.
            with np.errstate(all="ignore"):
                found: NDArray[Any] = rows if kind is None else dequantize(rows, kind)
            return found
        except NotImplementedError:
            raise CheckpointError(f"{self.folder}: tensors of type {kind.name} cannot be widened") from None

    def read_into(self, name: str, start: int, out: NDArray[Any]) -> None:
        """Fill `out` with the tensor's numbers (bits, where they are stored plainly) from element `start` on."""
        kind, rows = self._parts[name]
        columns, stop = self.tensors[name].shape[-1], start + out.size
        order = self._order(name)
        if order is not None and rows.shape[0] == 1:
            out[:] = rows[0][order[start:stop]]
            return
        first, last = start // columns, -(-stop // columns)
        chosen = rows[first:last] if order is None else rows[order[first:last]]
        values = self._widened(kind, chosen)
        out[:] = values.reshape(-1)[start - first * columns : stop - first * columns]

    def array(self, name: str) -> NDArray[Any]:
        """The whole tensor, widened, in its own shape."""
        info = self.tensors[name]
        out = np.empty(info.shape, {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}[info.dtype])
        self.read_into(name, 0, out.reshape(-1))
        return out

    def _order(self, name: str) -> NDArray[np.int64] | None:
        """Where each row stands in the file: for Llama, converters pair up the halves of each head's rows."""
        heads = self._heads[0] if ".q_proj." in name else self._heads[1] if ".k_proj." in name else None
        if not self._turned or heads is None:
            return None
        rows = self.tensors[name].shape[0]
        return np.arange(rows).reshape(heads, rows // heads // 2, 2).swapaxes(1, 2).reshape(-1)


def _transformers_name(file: Path, name: str) -> str:
    if name in _OUTER:
        return _OUTER[name]
    match = _NAME.fullmatch(name)
    if match is None or match["kind"] not in _INNER:
        why = ": scaled rotary frequencies are not read" if name.startswith("rope_") else ""
        raise CheckpointError(f"{file}: unknown tensor {name[:80]!r}{why}")
    return f"model.layers.{match['layer']}.{_INNER[match['kind']]}.{match['part']}"


def _config(file: Path, reader: Any, kind: str) -> dict[str, Any]:
    """config.json, as far as the file tells."""

    def number(key: str, default: float | None = None) -> Any:
        found = _value(reader, f"{kind}.{key}")
        found = default if found is None else found
        if not isinstance(found, int | float) or not 0 < found < 2**31:
            raise CheckpointError(f"{file}: {kind}.{key} is {str(found)[:40]}, wanted a positive number")
        return found

    if _value(reader, f"{kind}.rope.scaling.type") not in (None, "none"):
        raise CheckpointError(f"{file}: scaled rotary frequencies ({kind}.rope.scaling) are not read")
    heads = number("attention.head_count")
    config: dict[str, Any] = {
        "architectures": [ARCHITECTURES[kind]],
        "model_type": kind,
        "hidden_size": number("embedding_length"),
        "intermediate_size": number("feed_forward_length"),
        "num_hidden_layers": number("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": number("attention.head_count_kv", heads),
        "max_position_embeddings": number("context_length"),
        "rms_norm_eps": number("attention.layer_norm_rms_epsilon"),
        "rope_theta": float(number("rope.freq_base", 10_000.0)),
    }
    if kind == "llama":
        config["head_dim"] = number("attention.key_length", config["hidden_size"] // heads)
    for key in ("bos", "eos"):
        token = _value(reader, f"tokenizer.ggml.{key}_token_id")
        if isinstance(token, int):
            config[f"{key}_token_id"] = token
    return config


def _value(reader: Any, key: str) -> Any:
    field = reader.get_field(key)
    return None if field is None else field.contents()
