"""Mixtures that no other layout holds, as a transformers model: routed once for a whole answer, or by an MLP.

Model-GLUE, https://arxiv.org/abs/2410.05357, section 4.4. `ffn`: each layer's experts are MLPs; `block`: whole decoder
layers. `token`: a route a token; `sample`: one for the prompt and its whole answer, from the mean of what the gate sees
of the prompt. Importing this module makes the auto classes know the type; it imports torch and transformers, so import
it where a model is loaded. With `generate` and with a cache that grows (`DynamicCache`).

What a prompt's route was is kept in the key-value cache, as one more layer of it: whoever reorders, pads or joins rows
of the cache moves their routes with them.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, GenerationMixin
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer
from transformers.masking_utils import create_causal_mask
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.models.llama.modeling_llama import LlamaPreTrainedModel, LlamaRMSNorm, LlamaRotaryEmbedding

from merging.gated_config import GatedMixtureConfig
from merging.routed_layer import RoutedLayer, SelectedExperts


class Pretrained(LlamaPreTrainedModel):  # type: ignore[misc]
    """What transformers asks of both models below."""

    config_class = GatedMixtureConfig
    _supports_flex_attn = False
    _can_compile_fullgraph = False
    _no_split_modules: ClassVar = ["RoutedLayer"]
    _can_record_outputs: ClassVar[dict[str, Any]] = {}


class GatedMixtureModel(Pretrained):
    """Embeddings, layers with experts, and the last norm."""

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
        """The last hidden states, [rows, tokens, hidden], for embedded tokens x. Raises ValueError for inputs that
        contradict each other."""
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

    def _kept(self, cache: Cache) -> list[SelectedExperts] | None:
        """A route a layer, if the cache has them; makes room for everything that a cache of this model holds."""
        while len(cache.layers) < self.routes + (self.config.route == "sample"):
            cache.layers.append(DynamicLayer())
        if self.config.route == "token" or not cache.get_seq_length(self.routes):
            return None
        weights, experts = cache.layers[self.routes].keys[:, :, -1], cache.layers[self.routes].values[:, :, -1]
        slots = [layer.slots for layer in self.layers]
        return [(weights[:, n, :s], experts[:, n, :s].long()) for n, s in enumerate(slots)]

    def _keep(self, cache: Cache, routes: list[SelectedExperts], tokens: int) -> None:
        """Add the routes of `tokens` more tokens, [rows, layers, tokens, slots]: the same for all."""
        widest = self.config.per_route
        for_cache = []
        for part in (0, 1):
            same = [nn.functional.pad(route[part].float(), (0, widest - route[part].shape[1])) for route in routes]
            for_cache.append(torch.stack(same, 1).unsqueeze(2).expand(-1, -1, tokens, -1))
        cache.layers[self.routes].update(*for_cache)


class GatedMixtureForCausalLM(Pretrained, GenerationMixin):  # type: ignore[misc]
    """A mixture with its output layer."""

    _tied_weights_keys: ClassVar = {"lm_head.weight": "model.embed_tokens.weight"}

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
        cache says so; None: all. Raises ValueError for inputs that contradict each other."""
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


AutoConfig.register(GatedMixtureConfig.model_type, GatedMixtureConfig, exist_ok=True)
AutoModelForCausalLM.register(GatedMixtureConfig, GatedMixtureForCausalLM, exist_ok=True)
