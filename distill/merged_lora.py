"""LoRA layers of peft, computed as one matrix product: scale * B @ A is added to the frozen weight once a step.

On few CPU cores this is about a quarter faster than two more thin products in float32 a layer, and rounds as an
engine does that adds adapters on the way in: what is trained is what is served. It holds a second copy of the adapted
weights. Layers with dropout need peft's own way. This module imports torch; it is imported where training starts.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch.nn import functional


class _Product(torch.autograd.Function):
    """x W^T with W = frozen + scale B A already added; gradients for x, A and B."""

    @staticmethod
    def forward(ctx: Any, x: Any, a: Any, b: Any, weight: Any, bias: Any, scale: float) -> Any:
        ctx.save_for_backward(x, a, b, weight)
        ctx.scale = scale
        return functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        x, a, b, weight = ctx.saved_tensors
        gradient, wide = gradients[0].flatten(0, -2), x.flatten(0, -2)
        to_a = ((gradient @ b.to(x.dtype)).t() @ wide).float() * ctx.scale
        to_b = (gradient.t() @ (wide @ a.to(x.dtype).t())).float() * ctx.scale
        return (gradient @ weight).view_as(x), to_a.to(a.dtype), to_b.to(b.dtype), None, None, None


class MergedLora:
    """All LoRA layers of a peft model, their forward passes replaced. Call `merge` after each change of factors."""

    def __init__(self, model: Any) -> None:
        from peft.tuners.lora import Linear

        self._layers = [
            layer
            for layer in model.modules()
            # Others keep peft's own way: a Conv1D of GPT-2, for instance, holds its weight transposed.
            if isinstance(layer, Linear) and type(layer.base_layer) is torch.nn.Linear and not layer.fan_in_fan_out
        ]
        self._weights = [layer.base_layer.weight.detach().clone() for layer in self._layers]
        for layer, weight in zip(self._layers, self._weights, strict=True):
            layer.forward = functools.partial(_forward, layer, weight)

    def merge(self) -> None:
        """Write frozen + scale * B @ A into the weights that the passes use."""
        with torch.no_grad():
            for layer, weight in zip(self._layers, self._weights, strict=True):
                a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
                weight.copy_(torch.addmm(layer.base_layer.weight.float(), b, a, alpha=layer.scaling["default"]))


def _forward(layer: Any, weight: torch.Tensor, x: torch.Tensor) -> Any:
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    product: Any = _Product.apply
    return product(x, a, b, weight, layer.base_layer.bias, layer.scaling["default"])
