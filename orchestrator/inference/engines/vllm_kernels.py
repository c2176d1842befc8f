"""On a CPU, vLLM's own C kernels for what it otherwise computes with a handful of torch calls each.

vLLM ships RMS norm and gated SiLU as single passes for the CPU but selects the plain versions there; at SmolLM2's
size the difference is a tenth of a step. A kernel is used only where its result was seen to agree. One kernel that
vLLM selects itself is kept from tensors that it misreads (`rotate_rows`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

TOLERANCE = 0.02
"""Largest relative difference from the plain version: two roundings of bfloat16."""


def use_kernels(model: Any) -> int:
    """Switch the model's norms and activations over; how many."""
    import torch
    from vllm.model_executor.layers.activation import SiluAndMul
    from vllm.model_executor.layers.layernorm import RMSNorm

    kernels = torch.ops._C
    if not all(hasattr(kernels, name) for name in ("rms_norm", "fused_add_rms_norm", "silu_and_mul")):
        return 0
    makers = {SiluAndMul: _silu, RMSNorm: _norm}
    switched = 0
    for layer in model.modules():
        make = makers.get(type(layer))
        if make is not None and _agrees(layer, make(layer, kernels)):
            layer._forward_method = make(layer, kernels)
            switched += 1
    return switched


def rotate_rows(model: Any) -> int:
    """Give the CPU's rotary kernel one row per token, in all of the model's layers; how many there are.

    It reads a query of three axes (tokens, heads, numbers), as latent attention has it, as if the heads were tokens:
    it turns them wrongly, and reads past their end.
    """
    from vllm.model_executor.layers.rotary_embedding.base import RotaryEmbedding

    layers = {id(layer): layer for layer in model.modules() if isinstance(layer, RotaryEmbedding)}
    for layer in layers.values():
        if not hasattr(layer._forward_method, "by_rows"):  # models share layers
            layer._forward_method = _by_rows(layer._forward_method)
    return len(layers)


def _by_rows(rotate: Callable[..., Any]) -> Callable[..., Any]:
    def forward(positions: Any, query: Any, key: Any = None, *more: Any, **named: Any) -> Any:
        if query.dim() < 3 or positions.dim() != 1:
            return rotate(positions, query, key, *more, **named)
        tokens, rows = len(positions), key if key is None else key.reshape(len(positions), -1)
        turned, turned_key = rotate(positions, query.reshape(tokens, -1), rows, *more, **named)
        return turned.view(query.shape), turned_key if key is None else turned_key.view(key.shape)

    forward.by_rows = True  # type: ignore[attr-defined]
    return forward


def _silu(layer: Any, kernels: Any) -> Callable[..., Any]:
    import torch

    def forward(x: torch.Tensor) -> torch.Tensor:
        out = torch.empty(*x.shape[:-1], x.shape[-1] // 2, dtype=x.dtype)
        kernels.silu_and_mul(out, x.contiguous())
        return out

    return forward


def _norm(layer: Any, kernels: Any) -> Callable[..., Any]:
    import torch

    def forward(x: torch.Tensor, residual: torch.Tensor | None = None) -> Any:
        x = x.contiguous()  # the kernels count on it
        if residual is None:
            out = torch.empty_like(x)
            kernels.rms_norm(out, x, layer.weight, layer.variance_epsilon)
            return out
        residual = residual.contiguous()
        kernels.fused_add_rms_norm(x, residual, layer.weight, layer.variance_epsilon)
        return x, residual

    return forward


def _agrees(layer: Any, forward: Callable[..., Any]) -> bool:
    import torch

    weight = getattr(layer, "weight", None)
    if weight is not None and (weight.dim() != 1 or getattr(layer, "variance_size_override", None) is not None):
        return False
    dtype, width = (torch.bfloat16, 64) if weight is None else (weight.dtype, weight.shape[0])
    generator = torch.Generator().manual_seed(0)
    x, residual = (torch.randn(3, width, generator=generator).to(dtype) for _ in range(2))
    try:
        found = [forward(x.clone())]
        wanted = [layer.forward_native(x.clone())]
        if weight is not None:
            found += forward(x.clone(), residual.clone())
            wanted += layer.forward_native(x.clone(), residual.clone())
    except RuntimeError:  # not for this type on this processor
        return False
    return all(bool(((a - b).abs() <= TOLERANCE * b.abs().max()).all()) for a, b in zip(found, wanted, strict=True))
