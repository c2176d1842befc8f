"""Mixtures that no other layout holds, as a transformers model: routed once for a whole answer, or by an MLP.

Model-GLUE, https://arxiv.org/abs/2410.05357, section 4.4. `ffn`: each layer's experts are MLPs; `block`: whole decoder
layers. `token`: a route a token; `sample`: one for the prompt and its whole answer, from the mean of what the gate sees
of the prompt. Importing this module makes the auto classes know the type; it imports torch and transformers, so import
it where a model is loaded. With `generate` and with a cache that grows (`DynamicCache`).

What a prompt's route was is kept in the key-value cache, as one more layer of it: whoever reorders, pads or joins rows
of the cache moves their routes with them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, GenerationMixin, LlamaConfig
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer
from transformers.masking_utils import create_causal_mask
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.models.llama.modeling_llama import (
    LlamaAttention,
    LlamaDecoderLayer,
    LlamaMLP,
    LlamaPreTrainedModel,
    LlamaRMSNorm,
    LlamaRotaryEmbedding,
)

from merging.gated_mixture import GATES, LEVELS, MODEL_TYPE, ROUTES, check_settings

Route = tuple[torch.Tensor, torch.Tensor]
"""(weights, experts), [rows, slots] each: a row's output is the weighted sum of its experts' outputs."""


class GatedMixtureConfig(LlamaConfig):  # type: ignore[misc]
    """The experts' own configuration, and how they are mixed: see `merging.gated_mixture.GatedMixture`."""

    model_type = MODEL_TYPE

    level: str = LEVELS[0]
    route: str = ROUTES[1]
    gate: str = GATES[0]
    gate_width: int = 64
    experts: int = 2
    per_route: int = 2
    dense_layers: int = 0

    def __post_init__(self, **kwargs: Any) -> None:
        """Raises `MixtureError`, a ValueError, naming the key."""
        check_settings({key: getattr(self, key) for key in self.__class__.__annotations__ if key != "model_type"})
        super().__post_init__(**kwargs)

    def experts_of(self, layer: int) -> int:
        """How many experts a layer has; one where it is dense."""
        return 1 if layer < self.dense_layers else self.experts

    def slots_of(self, layer: int) -> int:
        """How many experts a route picks in a layer."""
        return min(self.per_route, self.experts_of(layer))


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
        self, x: torch.Tensor, route: Route | None, prompt: torch.Tensor | None, settings: dict[str, Any]
    ) -> tuple[torch.Tensor, Route | None]:
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

    def _routed(self, seen: torch.Tensor, prompt: torch.Tensor | None) -> Route:
        """A route a row, from the mean of its prompt's tokens."""
        if self.gate is None:
            first = torch.zeros(seen.shape[0], 1, device=seen.device)
            return first + 1, first.long()
        share = torch.ones(seen.shape[:2], device=seen.device) if prompt is None else prompt.float()
        pooled = (seen.float() * share.unsqueeze(-1)).sum(1) / share.sum(1, keepdim=True).clamp(min=1)
        return self._chosen(self.gate(pooled))

    def _chosen(self, scores: torch.Tensor) -> Route:
        best = scores.topk(self.slots, -1)
        return best.values.softmax(-1), best.indices

    def _blocks(self, x: torch.Tensor, route: Route, settings: dict[str, Any]) -> torch.Tensor:
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


class GatedMixtureModel(LlamaPreTrainedModel):  # type: ignore[misc]
    """Embeddings, layers with experts, and the last norm."""

    config_class = GatedMixtureConfig
    _supports_flex_attn = False
    _can_compile_fullgraph = False
    _no_split_modules: ClassVar = ["RoutedLayer"]
    _can_record_outputs: ClassVar[dict[str, Any]] = {}

    def __init__(self, config: GatedMixtureConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        places = [0]
        for layer in range(config.num_hidden_layers):
            places.append(places[-1] + (config.slots_of(layer) if config.level == "block" else 1))
        self.layers = nn.ModuleList(RoutedLayer(config, layer, place) for layer, place in enumerate(places[:-1]))
        self.routes = places[-1]
        """Where the cache keeps the routes."""
        self.norm = LlamaRMSNorm(config.hidden_size, config.rms_norm_eps)
        self.rotary_emb = LlamaRotaryEmbedding(config)
        self.post_init()

    def forward(
        self,
        x: torch.Tensor,
        attention_mask: torch.Tensor | None,
        position_ids: torch.Tensor | None,
        cache: Cache | None,
        prompt_length: int | None,
    ) -> torch.Tensor:
        """The last hidden states, [rows, tokens, hidden], for embedded tokens x."""
        if attention_mask is not None and attention_mask.dim() != 2:
            raise ValueError(f"attention_mask of shape {list(attention_mask.shape)}: want [rows, tokens]")
        past = 0 if cache is None else cache.get_seq_length()
        if position_ids is None:
            position_ids = (torch.arange(x.shape[1], device=x.device) + past).unsqueeze(0)
        settings = {
            "attention_mask": create_causal_mask(
                config=self.config,
                inputs_embeds=x,
                attention_mask=attention_mask,
                past_key_values=cache,
                position_ids=position_ids,
            ),
            "position_embeddings": self.rotary_emb(x, position_ids=position_ids),
            "past_key_values": cache,
        }
        kept = None if cache is None else self._kept(cache)
        prompt = None if attention_mask is None else attention_mask[:, -x.shape[1] :].bool()
        if prompt_length is not None and not past:
            prompt = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) if prompt is None else prompt.clone()
            prompt[:, prompt_length:] = False
        routes = []
        for number, layer in enumerate(self.layers):
            x, route = layer(x, kept[number] if kept else None, prompt, settings)
            routes.append(route)
        if cache is not None and self.config.route == "sample":
            self._keep(cache, routes, x.shape[1])
        found: torch.Tensor = self.norm(x)
        return found

    def _kept(self, cache: Cache) -> list[Route] | None:
        """A route a layer, if the cache has them; makes room for everything that a cache of this model holds."""
        while len(cache.layers) < self.routes + (self.config.route == "sample"):
            cache.layers.append(DynamicLayer())
        if self.config.route == "token" or not cache.get_seq_length(self.routes):
            return None
        weights, experts = cache.layers[self.routes].keys[:, :, -1], cache.layers[self.routes].values[:, :, -1]
        slots = [layer.slots for layer in self.layers]
        return [(weights[:, n, :s], experts[:, n, :s].long()) for n, s in enumerate(slots)]

    def _keep(self, cache: Cache, routes: list[Route], tokens: int) -> None:
        """Add the routes of `tokens` more tokens, [rows, layers, tokens, slots]: the same for all."""
        widest = self.config.per_route
        for_cache = []
        for part in (0, 1):
            same = [nn.functional.pad(route[part].float(), (0, widest - route[part].shape[1])) for route in routes]
            for_cache.append(torch.stack(same, 1).unsqueeze(2).expand(-1, -1, tokens, -1))
        cache.layers[self.routes].update(*for_cache)


class GatedMixtureForCausalLM(LlamaPreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """A mixture with its output layer."""

    config_class = GatedMixtureConfig
    _tied_weights_keys: ClassVar = {"lm_head.weight": "model.embed_tokens.weight"}
    _supports_flex_attn = False
    _can_compile_fullgraph = False
    _no_split_modules: ClassVar = ["RoutedLayer"]
    _can_record_outputs: ClassVar[dict[str, Any]] = {}

    def __init__(self, config: GatedMixtureConfig) -> None:
        super().__init__(config)
        self.model = GatedMixtureModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        prompt_length: int | None = None,
        **_: Any,
    ) -> CausalLMOutputWithPast:
        """As of any causal language model. `prompt_length`: how many of the first columns are the prompt, where no
        cache says so; None: all."""
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give input_ids or inputs_embeds, not both")
        use_cache = self.config.use_cache if use_cache is None else use_cache
        if past_key_values is None and use_cache:
            past_key_values = DynamicCache()
        x = self.model.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        hidden = self.model(x, attention_mask, position_ids, past_key_values, prompt_length)
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(hidden[:, kept])
        loss = None if labels is None else self.loss_function(logits, labels, self.config.vocab_size)
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=past_key_values)

    def generate(self, inputs: torch.Tensor | None = None, *args: Any, **kwargs: Any) -> Any:
        """As of any model; without a cache, too, an answer keeps its prompt's route."""
        for given in (inputs, kwargs.get("input_ids"), kwargs.get("inputs_embeds")):
            if given is not None:
                kwargs.setdefault("prompt_length", given.shape[1])
        return super().generate(inputs, *args, **kwargs)


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
    x: torch.Tensor, route: Route, run: Callable[[int, torch.Tensor, torch.Tensor], torch.Tensor]
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


AutoConfig.register(MODEL_TYPE, GatedMixtureConfig, exist_ok=True)
AutoModelForCausalLM.register(GatedMixtureConfig, GatedMixtureForCausalLM, exist_ok=True)
