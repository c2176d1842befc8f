"""A decoder layer with experts in it, or as it, behind a gate: what `gated_model` is made of. Imports torch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from transformers.cache_utils import DynamicLayer
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaDecoderLayer, LlamaMLP, LlamaRMSNorm

from merging.gated_config import GatedMixtureConfig

SelectedExperts = tuple[torch.Tensor, torch.Tensor]
"""(weights, experts), [rows, slots] each: a row's output is the weighted sum of its experts' outputs."""


class Gate(nn.Module):
    """Scores of a layer's experts, [..., experts], from what the layer sees, [..., hidden]."""

    def __init__(self, config: GatedMixtureConfig) -> None:
        super().__init__()
        self.linear = config.gate == "linear"
        if self.linear:
            self.weight = nn.Parameter(torch.zeros(config.experts, config.hidden_size))
        else:
            self.inner = nn.Linear(config.hidden_size, config.gate_width)
            self.outer = nn.Linear(config.gate_width, config.experts)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        """Scores [..., experts] of hidden states [..., hidden], in float32."""
        seen = seen.float()  # so that what else is in a batch does not turn a close choice
        if self.linear:
            return nn.functional.linear(seen, self.weight.float())
        inner = torch.relu(nn.functional.linear(seen, self.inner.weight.float(), self.inner.bias.float()))
        return nn.functional.linear(inner, self.outer.weight.float(), self.outer.bias.float())


class RoutedLayer(nn.Module):
    """One decoder layer with experts in it (`ffn`) or as it (`block`). `place`: of its first slot in the cache."""

    def __init__(self, config: GatedMixtureConfig, layer: int, place: int) -> None:
        super().__init__()
        count = config.experts_of(layer)
        self.config, self.slots = config, config.slots_of(layer)
        self.place = place
        if config.level == "ffn":
            self.self_attn = LlamaAttention(config, place)
            self.input_layernorm = LlamaRMSNorm(config.hidden_size, config.rms_norm_eps)
            self.post_attention_layernorm = LlamaRMSNorm(config.hidden_size, config.rms_norm_eps)
            self.experts = nn.ModuleList(LlamaMLP(config) for _ in range(count))
        else:
            self.experts = nn.ModuleList(LlamaDecoderLayer(config, place) for _ in range(count))
        self.gate = Gate(config) if count > 1 else None

    def forward(
        self, x: torch.Tensor, route: SelectedExperts | None, prompt: torch.Tensor | None, settings: dict[str, Any]
    ) -> tuple[torch.Tensor, SelectedExperts | None]:
        """(output, route) for x [rows, tokens, hidden]. `route`: the one to keep to. `prompt`: [rows, tokens], which
        tokens a new route is made from. The returned route is None where every token has its own."""
        if self.config.level == "block":
            route = route or self._routed(_levelled(x), prompt)
            return self._blocks(x, route, settings), route
        attended, _ = self.self_attn(self.input_layernorm(x), **settings)
        x = x + attended
        seen = self.post_attention_layernorm(x)
        if self.config.route == "token" and self.gate is not None:
            tokens = seen.reshape(-1, seen.shape[-1])
            mixed = _mixed(tokens, self._chosen(self.gate(tokens)), lambda e, _, part: self.experts[e](part))
            return x + mixed.view_as(x), None
        route = route or self._routed(seen, prompt)
        return x + _mixed(seen, route, lambda e, _, part: self.experts[e](part)), route

    def _routed(self, seen: torch.Tensor, prompt: torch.Tensor | None) -> SelectedExperts:
        """A route a row, from the mean of its prompt's tokens."""
        if self.gate is None:
            first = torch.zeros(seen.shape[0], 1, device=seen.device)
            return first + 1, first.long()
        share = torch.ones(seen.shape[:2], device=seen.device) if prompt is None else prompt.float()
        pooled = (seen.float() * share.unsqueeze(-1)).sum(1) / share.sum(1, keepdim=True).clamp(min=1)
        return self._chosen(self.gate(pooled))

    def _chosen(self, scores: torch.Tensor) -> SelectedExperts:
        best = scores.topk(self.slots, -1)
        return best.values.softmax(-1), best.indices

    def _blocks(self, x: torch.Tensor, route: SelectedExperts, settings: dict[str, Any]) -> torch.Tensor:
        """Each slot's expert layer has keys and values of its own."""
        cache, shared = settings["past_key_values"], {k: v for k, v in settings.items() if k != "past_key_values"}
        out = torch.zeros_like(x)
        for number in range(self.slots):
            slot = None if cache is None else _Slot(cache.layers[self.place + number], len(x))
            out += _mixed(x, (route[0][:, [number]], route[1][:, [number]]), partial(self._block, slot, shared))
            if slot is not None:
                slot.keep()
        return out

    def _block(
        self, slot: _Slot | None, shared: dict[str, Any], expert: int, rows: torch.Tensor, part: torch.Tensor
    ) -> torch.Tensor:
        if slot is not None:
            slot.rows = rows
        mine = {key: _rows(value, rows) for key, value in shared.items()}
        found: torch.Tensor = self.experts[expert](part, past_key_values=slot, **mine)
        return found


class _Slot:
    """A layer of the cache, of which each expert sees its own `rows`: what a decoder layer calls its cache."""

    def __init__(self, layer: DynamicLayer, total: int) -> None:
        self._layer, self._total = layer, total
        self._new: list[torch.Tensor] = []
        self.rows = torch.arange(total)

    def update(self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """The rows' keys and values, these among them."""
        if not self._new:
            self._new = [part.new_zeros(self._total, *part.shape[1:]) for part in (keys, values)]
        for new, part in zip(self._new, (keys, values), strict=True):
            new[self.rows] = part
        if not self._layer.get_seq_length():
            return keys, values
        before = (self._layer.keys[self.rows], self._layer.values[self.rows])
        return torch.cat((before[0], keys), -2), torch.cat((before[1], values), -2)

    def keep(self) -> None:
        """Add what all experts computed to the layer."""
        self._layer.update(*self._new)


def _mixed(
    x: torch.Tensor, route: SelectedExperts, run: Callable[[int, torch.Tensor, torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """The weighted sum of the experts' outputs for x [rows, ...]; `run(expert, rows, x[rows])`."""
    weights, experts = route
    out = torch.zeros_like(x)
    for expert in sorted(set(experts.flatten().tolist())):
        rows, slots = (experts == expert).nonzero(as_tuple=True)
        share = weights[rows, slots].to(x.dtype).view(-1, *[1] * (x.dim() - 1))
        out.index_add_(0, rows, share * run(expert, rows, x[rows]))
    return out


def _rows(value: Any, rows: torch.Tensor) -> Any:
    """The rows of a tensor, or of a tuple's; None and what is the same for all rows stay."""
    if isinstance(value, tuple):
        return tuple(_rows(one, rows) for one in value)
    return value if value is None or value.shape[0] == 1 else value[rows]


def _levelled(x: torch.Tensor) -> torch.Tensor:
    """States at root mean square 1: between blocks they grow from layer to layer."""
    x = x.float()
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)
