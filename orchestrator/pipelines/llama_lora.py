"""A frozen Llama checkpoint with LoRA on every linear layer, arranged for training on few CPU cores.

Four things make it several times faster than wrapping modules. The low-rank product is added to the weight once a
step, so that the forward pass is one matrix product a layer, and the backward pass needs only thin products for
the two factors. The weight is rounded to bfloat16 after that addition, which is also what an engine computes that
adds adapters on the way in: what is trained is what is served. And logits are computed in blocks, at the positions
that carry loss and nowhere else. What all prompts begin with (the template's system message) is computed once a batch.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_BLOCK = 128


def _path(name: str) -> str:
    return f"{'mlp' if name in ('gate_proj', 'up_proj', 'down_proj') else 'self_attn'}.{name}"


class LlamaLora:
    """Weights, factors and the two passes. Works for Llama checkpoints without biases, in one safetensors file.

    Raises:
        ValueError: another architecture, rotary scaling, or a checkpoint in several files.
    """

    def __init__(self, model: Path, rank: int, alpha: float, seed: int) -> None:
        import torch
        from safetensors.torch import load_file

        config = json.loads((model / "config.json").read_text(encoding="utf-8"))
        rope = config.get("rope_parameters") or {"rope_theta": config.get("rope_theta"), "rope_type": "default"}
        if config["model_type"] != "llama" or config.get("attention_bias") or config.get("mlp_bias"):
            raise ValueError(f"{model}: only Llama checkpoints without biases can be trained here")
        if rope.get("rope_type", "default") != "default" or config.get("hidden_act") != "silu":
            raise ValueError(f"{model}: only plain rotary positions and SiLU can be trained here")
        if not (model / "model.safetensors").is_file():
            raise ValueError(f"{model}: no model.safetensors")
        tensors = load_file(model / "model.safetensors")
        heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
        self.width: int = config.get("head_dim") or config["hidden_size"] // heads
        self.theta: float = rope["rope_theta"]
        self.scale = alpha / rank
        self.embedding = tensors["model.embed_tokens.weight"].to(torch.bfloat16)
        self.head = tensors.get("lm_head.weight", self.embedding).to(torch.bfloat16)
        self.norm = tensors["model.norm.weight"].to(torch.bfloat16)
        generator = torch.Generator().manual_seed(seed)
        self.layers: list[tuple[torch.Tensor, torch.Tensor, dict[str, _Linear]]] = []
        for layer in range(config["num_hidden_layers"]):
            prefix = f"model.layers.{layer}."
            linears = {
                name: _Linear(tensors[f"{prefix}{_path(name)}.weight"].to(torch.bfloat16), rank, generator)
                for name in LINEARS
            }
            norms = [
                tensors[f"{prefix}{name}.weight"].to(torch.bfloat16)
                for name in ("input_layernorm", "post_attention_layernorm")
            ]
            self.layers.append((norms[0], norms[1], linears))
        self._operations = _operations(heads, groups, self.width, config["rms_norm_eps"])

    @property
    def factors(self) -> list[torch.Tensor]:
        """All trainable tensors: A and B of each linear layer, float32."""
        return [factor for *_, linears in self.layers for one in linears.values() for factor in (one.a, one.b)]

    def merge(self) -> None:
        """Write base + scale * B @ A into the weights that the passes use. Call it after each change of factors."""
        for *_, linears in self.layers:
            for linear in linears.values():
                linear.merge(self.scale)

    def loss(self, prefix: torch.Tensor, ids: torch.Tensor, taught: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy of predicting `ids[:, i]` where `taught[:, i]` is true.

        `prefix` (at least one token) begins every sequence of the batch and is computed once; `ids` and `taught`
        have the shape (batch, length) and hold what follows, padded on the right: with a causal mask, padding can
        influence nothing to its left, so no padding mask is needed. The first column is never predicted.
        """
        hidden = self._hidden(prefix, ids)
        carries = taught[:, 1:]
        loss: torch.Tensor = self._operations.cross_entropy(hidden[:, :-1][carries], self.head, ids[:, 1:][carries])
        return loss

    def _hidden(self, prefix: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Last hidden states of `ids`, (batch, length, width). Prefix and rows go through the layers as one list."""
        import torch

        (head,), (batch, length) = prefix.shape, ids.shape
        positions = torch.cat((torch.arange(head), torch.arange(head, head + length).repeat(batch))).float()
        frequencies = 1 / (self.theta ** (torch.arange(0, self.width, 2).float() / self.width))
        angles = torch.outer(positions, frequencies).repeat(1, 2)[:, None]
        cosine, sine = angles.cos().bfloat16(), angles.sin().bfloat16()
        mask = torch.full((head + length, head + length), -math.inf).triu(1).bfloat16()
        scale = torch.tensor(self.scale)
        x = self.embedding[torch.cat((prefix, ids.reshape(-1)))]
        for before, after, linears in self.layers:
            weights = [(linear.a, linear.b, linear.weight, scale) for linear in linears.values()]
            x = self._operations.layer(x, head, batch, length, cosine, sine, mask, before, after, *weights)
        hidden: torch.Tensor = self._operations.rms_norm(x[head:], self.norm).view(batch, length, -1)
        return hidden

    def save(self, folder: Path, base: str) -> None:
        """Write the adapter in PEFT's layout: adapter_config.json and bfloat16 adapter_model.safetensors."""
        import torch
        from safetensors.torch import save_file

        tensors = {}
        for index, (*_, linears) in enumerate(self.layers):
            for name, linear in linears.items():
                key = f"base_model.model.model.layers.{index}.{_path(name)}"
                tensors[f"{key}.lora_A.weight"] = linear.a.detach().to(torch.bfloat16).contiguous()
                tensors[f"{key}.lora_B.weight"] = linear.b.detach().to(torch.bfloat16).contiguous()
        rank = self.layers[0][2]["q_proj"].a.shape[0]
        config = {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base,
            "r": rank,
            "lora_alpha": self.scale * rank,
            "lora_dropout": 0.0,
            "bias": "none",
            "target_modules": sorted(LINEARS),
            "inference_mode": True,
        }
        save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
        text = json.dumps(config, indent=2, sort_keys=True) + "\n"
        (folder / "adapter_config.json").write_text(text, encoding="utf-8")


class _Linear:
    """One frozen weight (outputs x inputs) with its factors A (rank x inputs) and B (outputs x rank)."""

    def __init__(self, weight: torch.Tensor, rank: int, generator: torch.Generator) -> None:
        import torch

        bound = 1 / math.sqrt(weight.shape[1])
        self.base = weight
        self.weight = weight.clone()
        self.a = torch.empty(rank, weight.shape[1]).uniform_(-bound, bound, generator=generator).requires_grad_()
        self.b = torch.zeros(weight.shape[0], rank).requires_grad_()

    def merge(self, scale: float) -> None:
        import torch

        with torch.no_grad():
            self.weight.copy_(torch.addmm(self.base.float(), self.b, self.a, alpha=scale))


class _Operations:
    """The compiled passes; held in a class because torch must not be imported with this module."""

    layer: Any
    rms_norm: Any
    cross_entropy: Any


@lru_cache(maxsize=8)
def _operations(heads: int, groups: int, width: int, epsilon: float) -> _Operations:
    # Sizes and factors are constants of the compiled code; only the batch and the length vary.
    import torch
    from torch.nn import functional

    class Linear(torch.autograd.Function):
        """x W^T with W = base + scale B A already added; gradients for x, A and B only."""

        @staticmethod
        def forward(ctx: Any, x: Any, a: Any, b: Any, weight: Any, scale: Any) -> Any:
            ctx.save_for_backward(x, a, b, weight, scale)
            return x @ weight.t()

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            (gradient,) = gradients
            x, a, b, weight, scale = ctx.saved_tensors
            to_a = ((gradient @ b.to(x.dtype)).t() @ x).float() * scale
            to_b = (gradient.t() @ (x @ a.to(x.dtype).t())).float() * scale
            return gradient @ weight, to_a, to_b, None, None

    class CrossEntropy(torch.autograd.Function):
        """Mean cross-entropy; its gradient is made in the forward pass, block by block, so no logits are kept."""

        @staticmethod
        def forward(ctx: Any, hidden: Any, head: Any, targets: Any) -> Any:
            gradient = torch.empty_like(hidden)
            total = hidden.new_zeros((), dtype=torch.float32)
            for start in range(0, len(targets), _BLOCK):
                block, wanted = hidden[start : start + _BLOCK], targets[start : start + _BLOCK]
                logits = (block @ head.t()).float()
                norm = logits.logsumexp(-1)
                total += (norm - logits.gather(1, wanted[:, None])[:, 0]).sum()
                share = logits.sub_(norm[:, None]).exp_()
                share[torch.arange(len(wanted)), wanted] -= 1
                gradient[start : start + _BLOCK] = (share / len(targets)).to(hidden.dtype) @ head
            ctx.save_for_backward(gradient)
            return total / len(targets)

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            return ctx.saved_tensors[0] * gradients[0], None, None

    def rms_norm(x: Any, weight: Any) -> Any:
        wide = x.float()
        return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)).to(x.dtype) * weight

    def rotate(x: Any, cosine: Any, sine: Any) -> Any:
        first, second = x.chunk(2, -1)
        return x * cosine + torch.cat((-second, first), -1) * sine

    def attend(query: Any, key: Any, value: Any, mask: Any) -> Any:
        """(batch, length, heads, width) each -> (batch * length, heads * width); grouped keys and values."""
        batch, length, seen = query.shape[0], query.shape[1], key.shape[1]
        query = query.transpose(1, 2).reshape(batch * groups, heads // groups * length, width)
        key, value = (part.transpose(1, 2).reshape(batch * groups, seen, width) for part in (key, value))
        # Plain products: on CPU the backward pass of the fused attention takes longer than all matrix products.
        scores = (query @ key.transpose(1, 2)).view(batch * groups, heads // groups, length, seen)
        share = torch.softmax(scores * width**-0.5 + mask, -1).view(batch * groups, heads // groups * length, seen)
        return (share @ value).view(batch, heads, length, width).transpose(1, 2).reshape(batch * length, heads * width)

    def layer(
        x: Any, head: int, batch: int, length: int, cosine: Any, sine: Any, mask: Any,
        before: Any, after: Any, q: Any, k: Any, v: Any, o: Any, gate: Any, up: Any, down: Any,
    ) -> Any:  # fmt: skip
        linear: Any = Linear.apply
        normed = rms_norm(x, before)
        query = rotate(linear(normed, *q).view(-1, heads, width), cosine, sine)
        key = rotate(linear(normed, *k).view(-1, groups, width), cosine, sine)
        value = linear(normed, *v).view(-1, groups, width)
        shared_query, shared_key, shared_value = (part[:head][None] for part in (query, key, value))
        query, key, value = (part[head:].view(batch, length, -1, width) for part in (query, key, value))
        key = torch.cat((shared_key.expand(batch, -1, -1, -1), key), 1)
        value = torch.cat((shared_value.expand(batch, -1, -1, -1), value), 1)
        alone = attend(shared_query, shared_key, shared_value, mask[:head, :head])
        mixed = torch.cat((alone, attend(query, key, value, mask[head:])))
        x = x + linear(mixed, *o)
        normed = rms_norm(x, after)
        return x + linear(functional.silu(linear(normed, *gate)) * linear(normed, *up), *down)

    operations = _Operations()
    operations.layer = torch.compile(layer, dynamic=True) if _can_compile() else layer
    operations.rms_norm = rms_norm
    operations.cross_entropy = CrossEntropy.apply
    return operations


def _can_compile() -> bool:
    """torch.compile makes C++ on CPU; without a compiler, training is a third slower but the same."""
    import shutil

    return any(shutil.which(compiler) for compiler in ("g++", "clang++"))
