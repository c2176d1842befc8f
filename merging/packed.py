"""Quantised checkpoints: which tensors belong together, and what they are as numbers.

Decoded: bitsandbytes (4 and 8 bits), GPTQ (2, 4, 8 bits), AWQ (gemm, 4 bits), compressed-tensors (packed and 8-bit
integers, FP8), FP8 with scales, MXFP4 as gpt-oss has it. Every other integer weight, and every other method, is
refused by name: averaged as if they were numbers they would make noise. Scales of activations mean nothing for a
merge; they are left out, and named.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merging import unpack
from merging.buffers import widen
from merging.checkpoint import Checkpoint, CheckpointError, TensorInfo
from merging.eight_bit import is_scale, scale_of
from merging.naming import is_mask

Array = NDArray[Any]
DECODED = ("bitsandbytes", "gptq", "awq", "compressed-tensors", "fp8", "fbgemm_fp8", "modelopt", "mxfp4")
ROUNDED_IN_USE = ("bitnet", "fp_quant")
"""Methods whose weights may be stored in full and mean something else."""
_ACTIVATIONS = re.compile(r".*\.(input_scale|output_scale|input_global_scale|input_zero_point|[kqv]_scale|act_scale)$")
_STATE = ".quant_state.bitsandbytes__"


@dataclass(frozen=True)
class Packed:
    """A weight that several stored tensors make up."""

    name: str
    shape: tuple[int, ...]
    parts: tuple[str, ...]
    """Stored names."""
    rows: Callable[[], Callable[[int, int], Array]]
    """Makes the function that unpacks rows."""


class Unpacker:
    """The packed weights of one checkpoint."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Raises `CheckpointError` naming the method or the tensor that cannot be decoded."""
        self.checkpoint = checkpoint
        self._tensors = checkpoint.tensors
        given = checkpoint.config.get("quantization_config") or {}
        text = checkpoint.config.get("text_config")
        if not given and isinstance(text, dict):
            given = text.get("quantization_config") or {}
        self.settings: dict[str, Any] = given if isinstance(given, dict) else {}
        self.method = str(self.settings.get("quant_method", "")).lower() if self.settings else ""
        self.packed: dict[str, Packed] = {}
        for found in self._found():
            if found.name in self.packed or (found.name in self._tensors and found.name not in found.parts):
                raise CheckpointError(f"{checkpoint.folder}: tensor {found.name!r} is there packed and unpacked")
            self.packed[found.name] = found
        self.activations = [name for name in self._tensors if self._scales_activations(name)]
        """Scales of activations: of no use to a merge."""
        self._check()

    @property
    def dtype(self) -> str:
        """The type that the weights had before they were packed."""
        names = {"float16": "F16", "bfloat16": "BF16", "float32": "F32"}
        config = self.checkpoint.config
        inner = config.get("text_config") if isinstance(config.get("text_config"), dict) else {}
        stated = config.get("dtype") or config.get("torch_dtype") or (inner or {}).get("dtype")
        return names.get(str(stated), "BF16")

    def _found(self) -> Iterator[Packed]:
        for name in self._tensors:
            if _STATE in name:
                yield self._bnb4(name)
            elif name.endswith(".SCB"):
                yield self._bnb8(name)
            elif name.endswith(".qweight"):
                yield self._gptq(name) if self.method == "gptq" else self._awq(name)
            elif name.endswith(".weight_packed"):
                yield self._compressed(name)
            elif name.endswith(".weight_scale") and self._kind(name.replace("_scale", "")) == "I8":
                yield self._integers(name.removesuffix("_scale"))
            elif name.endswith("_blocks") and f"{name.removesuffix('_blocks')}_scales" in self._tensors:
                yield self._microscaled(name.removesuffix("_blocks"))

    def _check(self) -> None:
        """Nothing that is no number may pass for one."""
        folder = self.checkpoint.folder
        if self.settings.get("transform_config"):
            raise CheckpointError(
                f"{folder / 'config.json'}: quantization_config has a transform_config: its weights are rotated "
                "(QuaRot, SpinQuant) and do not stand beside others'; merge the unquantised model"
            )
        if self.method in ROUNDED_IN_USE:
            raise CheckpointError(
                f"{folder / 'config.json'}: quant_method {self.method!r} rounds weights and activations while the "
                "model runs, which a merge cannot keep; merge models that run in their own numbers"
            )
        used = {part for packed in self.packed.values() for part in packed.parts}
        for name, info in self._tensors.items():
            # No method of quantisation packs into 64 bits: there are tables and counts.
            integer = info.dtype in ("I8", "U8", "I16", "U16", "I32", "U32") and unpack.elements(info.shape) > 1
            count = name.endswith(("position_ids", "token_type_ids")) or is_mask(name, info.shape)
            if name not in used and integer and not count:
                label = f" ({self.method})" if self.method else ""
                raise CheckpointError(
                    f"{info.file}: tensor {name!r} is {info.dtype} {list(info.shape)}: packed or quantised{label} in a "
                    f"way that cannot be decoded here; merge the unquantised model (decoded: {', '.join(DECODED)})"
                )
        eight_bits = any(info.dtype.startswith("F8") for info in self._tensors.values())
        if self.method and self.method not in DECODED and (self.packed or eight_bits):
            raise CheckpointError(
                f"{folder / 'config.json'}: quant_method {self.method[:40]!r} cannot be decoded; merge the unquantised "
                f"model (decoded: {', '.join(DECODED)})"
            )
        self._check_scales()

    def _check_scales(self) -> None:
        """An 8-bit float has the scale that it needs, and none of a form that is not known here."""
        beside: dict[str, list[str]] = {}
        for name in self._tensors:
            module, _, last = name.rpartition(".")
            if "scale" in last or "zero_point" in last:
                beside.setdefault(module, []).append(name)
        activations = set(self.activations)
        for name, info in self._tensors.items():
            if not info.dtype.startswith("F8") or is_scale(self.checkpoint, name):
                continue
            scale = scale_of(self.checkpoint, name)
            for other in beside.get(name.rpartition(".")[0], ()):
                if other not in (name, scale) and other not in activations and not is_scale(self.checkpoint, other):
                    raise self._broken(name, f"8-bit floats beside {other!r}, a scale in a form that is not known here")
            if scale is None and self.method in DECODED:
                raise self._broken(name, f"quant_method is {self.method!r}, but it has no scale")

    def _scales_activations(self, name: str) -> bool:
        if self.settings and _ACTIVATIONS.fullmatch(name):
            return True
        owner = name.rpartition(".")[0] + ".weight"
        return name.endswith(".input_scale") and self._kind(owner).startswith("F8")

    # One method per format -------------------------------------------------------------------------------------

    def _bnb4(self, state: str) -> Packed:
        name = state.split(_STATE)[0]
        label = self._state(state)
        shape = tuple(label["shape"])
        parts = {key: self._part(f"{name}.{key}") for key in ("absmax", "quant_map")}
        nested = f"{name}.nested_absmax" in self._tensors
        if nested:
            parts |= {key: self._part(f"{name}.{key}") for key in ("nested_absmax", "nested_quant_map")}
        size = int(label["blocksize"])
        count = unpack.elements(shape)
        packed = self._part(name)
        fits = unpack.elements(packed.shape) * 2 in (count, count + 1) and packed.dtype in ("U8", "I8")
        if not fits or unpack.elements(parts["absmax"].shape) != -(-count // size):
            raise self._broken(name, f"{list(packed.shape)} does not hold {list(shape)} in blocks of {size}")
        if unpack.elements(parts["quant_map"].shape) != 16:
            raise self._broken(name, "its quant_map has not 16 values")

        def rows() -> Callable[[int, int], Array]:
            scales = self._numbers(parts["absmax"].name)
            if nested:
                inner = self._numbers(parts["nested_absmax"].name), int(label["nested_blocksize"])
                values = self._numbers(parts["nested_quant_map"].name)
                raw = self.checkpoint.array(parts["absmax"].name)
                scales = unpack.double_scales(raw, values, inner[0], inner[1], float(label["nested_offset"]))
            values = self._numbers(parts["quant_map"].name)
            whole = self.checkpoint.array(name)
            return unpack.four_bit_blocks(whole, values, scales.reshape(-1), size, unpack.elements(shape[1:]))

        return Packed(name, shape, (name, state, *(info.name for info in parts.values())), rows)

    def _state(self, name: str) -> dict[str, Any]:
        try:
            label = json.loads(bytes(self.checkpoint.array(name).tobytes()).decode())
            whole = all(isinstance(size, int) and size > 0 for size in label["shape"]) and len(label["shape"]) == 2
            if not whole or int(label["blocksize"]) < 1 or int(label.get("nested_blocksize", 1)) < 1:
                raise ValueError("no shape or block size")
            float(label.get("nested_offset", 0.0))
        except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
            raise self._broken(name, f"no state of bitsandbytes: {' '.join(str(error).split())[:80]}") from None
        return dict(label)

    def _bnb8(self, scales: str) -> Packed:
        name = f"{scales.removesuffix('.SCB')}.weight"
        info, held = self._part(name), self._part(scales)
        layout = f"{name}_format"
        if info.dtype != "I8" or len(info.shape) != 2 or unpack.elements(held.shape) != info.shape[0]:
            raise self._broken(name, f"{info.dtype} {list(info.shape)} with scales {list(held.shape)}")
        if layout in self._tensors and int(self.checkpoint.array(layout).reshape(-1)[0]) != 0:
            raise self._broken(name, "its weight_format is not by rows")
        parts = (name, scales, *((layout,) if layout in self._tensors else ()))
        return Packed(
            name,
            info.shape,
            parts,
            lambda: unpack.eight_bit_rows(self.checkpoint.array(name), self._numbers(scales)),
        )

    def _gptq(self, name: str) -> Packed:
        owner = name.removesuffix(".qweight")
        bits = self.settings.get("bits")
        packed, zeros, scales = (self._part(f"{owner}.{part}") for part in ("qweight", "qzeros", "scales"))
        layout = str(self.settings.get("checkpoint_format", "gptq")).lower()
        if bits not in (2, 4, 8) or layout not in ("gptq", "gptq_v2"):
            raise self._broken(name, f"GPTQ with {bits} bits in the format {layout[:20]!r}")
        per = 32 // bits
        inputs, outputs = packed.shape[0] * per, packed.shape[1]
        groups = scales.shape[0]
        if (
            packed.dtype not in ("I32", "U32")
            or scales.shape != (groups, outputs)
            or zeros.shape != (groups, -(-outputs // per))
        ):
            raise self._broken(
                name, f"{list(packed.shape)} with scales {list(scales.shape)}, zeros {list(zeros.shape)}"
            )
        order = f"{owner}.g_idx"
        parts = (name, zeros.name, scales.name, *((order,) if order in self._tensors else ()))
        if order in self._tensors and self._tensors[order].shape != (inputs,):
            raise self._broken(order, f"{list(self._tensors[order].shape)}, wanted {[inputs]}")

        def rows() -> Callable[[int, int], Array]:
            each = np.arange(inputs) // -(-inputs // groups)
            if order in self._tensors:
                each = self.checkpoint.array(order).astype(np.int64)
                if each.min(initial=0) < 0 or each.max(initial=0) >= groups:
                    raise self._broken(order, f"groups beyond the {groups} that have scales")
            held = unpack.nibbles(self.checkpoint.array(zeros.name).view(np.uint32), bits).reshape(groups, -1)
            # The first format stores zeros less one.
            offset = held[:, :outputs].astype(np.float32) + (layout == "gptq")
            return unpack.gptq_rows(self.checkpoint.array(name), bits, self._numbers(scales.name), offset, each)

        return Packed(f"{owner}.weight", (outputs, inputs), parts, rows)

    def _awq(self, name: str) -> Packed:
        owner = name.removesuffix(".qweight")
        version = str(self.settings.get("version", "gemm")).lower()
        if self.method != "awq" or self.settings.get("bits", 4) != 4 or version != "gemm":
            label = f"{self.method or 'an unstated method'}, version {version[:20]!r}, {self.settings.get('bits')} bits"
            raise self._broken(name, label)
        packed, zeros, scales = (self._part(f"{owner}.{part}") for part in ("qweight", "qzeros", "scales"))
        inputs, outputs, groups = packed.shape[0], packed.shape[1] * 8, scales.shape[0]
        if (
            packed.dtype not in ("I32", "U32")
            or scales.shape[1:] != (outputs,)
            or zeros.shape != (groups, outputs // 8)
        ):
            raise self._broken(
                name, f"{list(packed.shape)} with scales {list(scales.shape)}, zeros {list(zeros.shape)}"
            )

        def rows() -> Callable[[int, int], Array]:
            offset = unpack.awq_order(self.checkpoint.array(zeros.name).view(np.uint32)).astype(np.float32)
            size = -(-inputs // groups)
            return unpack.awq_rows(self.checkpoint.array(name), self._numbers(scales.name), offset, size)

        return Packed(f"{owner}.weight", (outputs, inputs), (name, zeros.name, scales.name), rows)

    def _compressed(self, name: str) -> Packed:
        owner = name.removesuffix("_packed")
        if self._kind(name) == "U8":
            raise self._broken(name, "two 4-bit floats in each byte (NVFP4, MXFP4): merge the unquantised model")
        packed, scales, stated = (self._part(f"{owner}_{part}") for part in ("packed", "scale", "shape"))
        shape = tuple(int(size) for size in self.checkpoint.array(stated.name).reshape(-1)[:3])
        bits = next((bits for bits in (4, 8) if len(shape) == 2 and -(-shape[1] * bits // 32) == packed.shape[1]), None)
        if bits is None or packed.dtype != "I32" or packed.shape[0] != shape[0] or scales.shape[0] != shape[0]:
            raise self._broken(name, f"{packed.dtype} {list(packed.shape)} for {list(shape)}")
        width = scales.shape[1] if len(scales.shape) > 1 else 1
        parts = [name, scales.name, stated.name]
        parts += [other for other in (f"{owner}_zero_point", f"{owner}_g_idx") if other in self._tensors]

        def rows() -> Callable[[int, int], Array]:
            each = np.arange(shape[1]) // -(-shape[1] // width)
            if f"{owner}_g_idx" in parts:
                each = self.checkpoint.array(f"{owner}_g_idx").astype(np.int64)
                if each.shape != (shape[1],) or each.min(initial=0) < 0 or each.max(initial=0) >= width:
                    raise self._broken(f"{owner}_g_idx", f"groups beyond the {width} that have scales")
            zeros = None
            if f"{owner}_zero_point" in parts:
                zeros = self._zeros(f"{owner}_zero_point", bits, shape[0], width)
            held = self._numbers(scales.name).reshape(shape[0], width)
            return unpack.packed_rows(self.checkpoint.array(name), bits, held, zeros, each, shape[1])

        return Packed(owner, shape, tuple(parts), rows)

    def _zeros(self, name: str, bits: int, rows: int, width: int) -> Array:
        """Zero points, which are packed along the rows."""
        held = self.checkpoint.array(name)
        if self._tensors[name].dtype == "I8":
            return held.reshape(rows, width).astype(np.float32)
        values = unpack.nibbles(held.view(np.uint32), bits).swapaxes(1, 2).reshape(-1, width)[:rows]
        return values.astype(np.float32) - (1 << (bits - 1))

    def _integers(self, name: str) -> Packed:
        info, scales = self._part(name), self._part(f"{name}_scale")
        zero = f"{name}_zero_point"
        groups = unpack.elements(scales.shape) // max(1, info.shape[0])
        whole = unpack.elements(scales.shape) in (1, info.shape[0] * max(1, groups))
        if len(info.shape) != 2 or not whole or (groups > 1 and info.shape[1] % groups):
            raise self._broken(name, f"{list(info.shape)} with scales {list(scales.shape)}")
        parts = (name, scales.name, *((zero,) if zero in self._tensors else ()))

        def rows() -> Callable[[int, int], Array]:
            zeros = self._numbers(zero) if zero in self._tensors else None
            return unpack.integer_rows(self.checkpoint.array(name), self._numbers(scales.name), zeros)

        return Packed(name, info.shape, parts, rows)

    def _microscaled(self, name: str) -> Packed:
        blocks, scales = self._part(f"{name}_blocks"), self._part(f"{name}_scales")
        if (
            blocks.dtype != "U8"
            or len(blocks.shape) != 4
            or blocks.shape[-1] != 16
            or scales.shape != blocks.shape[:-1]
        ):
            raise self._broken(name, f"blocks {list(blocks.shape)} with scales {list(scales.shape)}")
        shape = (blocks.shape[0], blocks.shape[2] * 32, blocks.shape[1])

        def rows() -> Callable[[int, int], Array]:
            return unpack.microscaled_rows(self.checkpoint.array(blocks.name), self.checkpoint.array(scales.name))

        return Packed(name, shape, (blocks.name, scales.name), rows)

    def _kind(self, name: str) -> str:
        info = self._tensors.get(name)
        return info.dtype if info else ""

    def _part(self, name: str) -> TensorInfo:
        if name not in self._tensors:
            raise CheckpointError(f"{self.checkpoint.folder}: tensor {name!r} is missing: a packed weight needs it")
        return self._tensors[name]

    def _numbers(self, name: str) -> Array:
        return widen(self.checkpoint.array(name), self._tensors[name].dtype, np.dtype(np.float32))

    def _broken(self, name: str, label: str) -> CheckpointError:
        return CheckpointError(f"{self.checkpoint.folder}: tensor {name!r} cannot be decoded: {label}")
