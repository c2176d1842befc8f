"""A mergekit-moe file: several models of one shape as one checkpoint in Mixtral's layout.

    base_model: ./base
    gate_mode: hidden            # or cheap_embed, random
    experts:
      - {source_model: ./a, positive_prompts: ["..."], negative_prompts: ["..."]}
      - {source_model: ./b, positive_prompts: ["..."]}
    experts_per_token: 2

Format: https://github.com/arcee-ai/mergekit/blob/main/docs/moe.md. A gate's row for an expert is what its layer sees of
the positive prompts minus what it sees of the negative ones, at length 1. Gate modes: `hidden` (or `hidden_last`: the
normed input of the MLP at the last token), `hidden_avg` (its mean over all tokens), `cheap_embed` (the tokens'
embeddings, the same in each layer), `random` (normal) and `uniform_random` (as torch's linear layers begin), drawn from
the seed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from merging.checkpoint import Checkpoint, CheckpointError
from merging.config_agreement import check_heads, disagreements
from merging.gates import LinearGates, MixtureError, States
from merging.merge import MergeSummary
from merging.mixture import Mixture
from merging.recipe import ModelRef
from merging.recipe_file import read_yaml
from merging.recipe_values import dtype_of, listed, mapping, model_ref
from merging.settings import RecipeError
from merging.source_model import SourceModel
from merging.sources import open_model
from merging.stream import plain

if TYPE_CHECKING:
    from orchestrator.pipelines.mixture_checkpoint import MixtureForm

FORMS: Mapping[str, MixtureForm] = {"hidden": "F-L-T", "hidden_last": "F-L-T", "hidden_avg": "F-L-S"}
"""Gate mode -> the form of mixture whose gates see the same."""
DRAWN = ("random", "uniform_random")
MODES = (*FORMS, "cheap_embed", *DRAWN)
KEYS = ("base_model", "experts", "gate_mode", "dtype", "experts_per_token", "shared_experts", "architecture")
MAX_PROMPTS, MAX_PROMPT = 1000, 100_000


def mixture_from_file(path: Path, out: Path, *, seed: int = 0, allow_bin: bool = False) -> MergeSummary:
    """Write the mixture that a mergekit-moe file describes to the folder `out`.

    Raises `RecipeError`, `CheckpointError`, `MixtureError` and `WriteError` (all ValueErrors).
    """
    began = time.perf_counter()
    data, experts = _read(path)
    base_ref = model_ref(data.get("base_model"), f"{path}: base_model")
    opened = {ref: open_model(ref, allow_bin) for ref in dict.fromkeys([base_ref, *(ref for ref, _, _ in experts)])}
    base = opened[base_ref][0]
    stored = base.tensors["model.embed_tokens.weight"].dtype if "model.embed_tokens.weight" in base.tensors else ""
    wanted = dtype_of(data, str(path))
    notes = (
        [f"dtype {data['dtype']}: a mixture keeps its base's type, {stored}"] if wanted not in (None, stored) else []
    )
    first, *others = (SourceModel.of(str(ref), *model) for ref, model in opened.items())
    for other in others:
        check_heads(first, other)
    notes += disagreements(first, others)
    mode = data.get("gate_mode", "hidden")
    if mode not in DRAWN and len({prompts[1:] for prompts in experts}) < len(experts):
        notes.append("two experts have the same prompts: no gate tells them apart")
    gates = _gates(path, mode, base, experts, seed)
    mixture = Mixture(
        plain(opened[base_ref]),
        tuple(plain(opened[ref]) for ref, _, _ in experts),
        LinearGates(gates),
        _whole(data.get("experts_per_token", 2), 1, len(experts), f"{path}: experts_per_token"),
    )
    mixture.write(out)
    made = Checkpoint(out)
    numbers = [int(np.prod(info.shape)) for info in made.tensors.values()]
    read = sum(model[0].bytes for model in opened.values())
    return MergeSummary(out, len(numbers), sum(numbers), read, made.bytes, time.perf_counter() - began, tuple(notes))


Expert = tuple[ModelRef, tuple[str, ...], tuple[str, ...]]
"""Model, positive prompts, negative prompts."""


def _read(path: Path) -> tuple[dict[str, Any], list[Expert]]:
    documents, _ = read_yaml(path, KEYS)
    if len(documents) != 1:
        raise RecipeError(f"{path}: a mergekit-moe file is one document, not {len(documents)}")
    data = mapping(documents[0], str(path), list(KEYS))
    if data.get("shared_experts"):
        raise RecipeError(f"{path}: shared_experts: Mixtral's layout has none (Qwen's and DeepSeek's are not written)")
    if data.get("architecture") not in (None, "mixtral"):
        raise RecipeError(f"{path}: architecture: {str(data['architecture'])[:40]!r}: only mixtral is written")
    mode = data.get("gate_mode", "hidden")
    if mode not in MODES:
        raise RecipeError(f"{path}: gate_mode: {str(mode)[:40]!r} is none of {', '.join(MODES)}")
    experts = []
    for number, raw in enumerate(listed(data.get("experts"), f"{path}: experts")):
        here = f"{path}: experts[{number}]"
        keys = ["source_model", "positive_prompts", "negative_prompts", "noise_scale", "residual_scale"]
        item = mapping(raw, here, keys)
        for key in ("noise_scale", "residual_scale"):
            if item.get(key):
                raise RecipeError(f"{here}.{key}: not supported")
        positive = _prompts(item.get("positive_prompts"), f"{here}.positive_prompts")
        if mode not in DRAWN and not positive:
            raise RecipeError(f"{here}: gate_mode {mode} wants positive_prompts")
        negative = _prompts(item.get("negative_prompts"), f"{here}.negative_prompts")
        experts.append((model_ref(item.get("source_model"), f"{here}.source_model"), positive, negative))
    if mode not in DRAWN and len({prompts[1:] for prompts in experts}) < min(2, len(experts)):
        raise RecipeError(f"{path}: all experts have the same prompts: no gate could tell them apart")
    return data, experts


def _prompts(raw: Any, where: str) -> tuple[str, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list) or len(raw) > MAX_PROMPTS:
        raise RecipeError(f"{where}: wants a list of up to {MAX_PROMPTS} texts")
    for text in raw:
        if not isinstance(text, str) or len(text) > MAX_PROMPT:
            raise RecipeError(f"{where}: {str(text)[:40]!r} is no text of up to {MAX_PROMPT} characters")
    return tuple(raw)


def _whole(raw: Any, minimum: int, maximum: int, where: str) -> int:
    if type(raw) is not int or not minimum <= raw <= maximum:
        raise RecipeError(f"{where}: wants a whole number from {minimum} to {maximum}, not {str(raw)[:40]!r}")
    return raw


def _gates(path: Path, mode: str, base: Checkpoint, experts: Sequence[Expert], seed: int) -> States:
    """[layers, experts, hidden]; rows that are not drawn at length 1."""
    layers, hidden = (base.config.get(key) for key in ("num_hidden_layers", "hidden_size"))
    if type(layers) is not int or type(hidden) is not int:
        raise MixtureError(f"{base.folder}: config.json has no num_hidden_layers and hidden_size")
    if mode in DRAWN:
        generator, shape = np.random.default_rng(seed), (layers, len(experts), hidden)
        if mode == "random":
            return generator.standard_normal(shape, dtype=np.float32)
        return np.asarray(generator.uniform(-(hidden**-0.5), hidden**-0.5, shape), np.float32)
    texts = list(dict.fromkeys(text for _, positive, negative in experts for text in (*positive, *negative)))
    seen = _states(base, texts, mode, layers)
    place = {text: number for number, text in enumerate(texts)}

    def direction(prompts: tuple[str, ...]) -> States:
        found: States = seen[:, [place[text] for text in prompts]].mean(1)
        # mergekit brings embeddings to length 1 before it subtracts, and hidden states not.
        return _of_length_1(found) if mode == "cheap_embed" else found

    rows = np.stack(
        [direction(positive) - (direction(negative) if negative else 0) for _, positive, negative in experts], 1
    )
    if not np.linalg.norm(rows, axis=-1).all():
        raise RecipeError(f"{path}: positive and negative prompts of an expert cancel out")
    return np.asarray(_of_length_1(rows), np.float32)


def _of_length_1(rows: States) -> States:
    found: States = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
    return found


def _states(base: Checkpoint, texts: list[str], mode: str, layers: int) -> States:
    """[layers, texts, hidden]; the text's beginning is a token of each prompt, as in mergekit."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base.folder, local_files_only=True, trust_remote_code=False)
    begun = [(tokenizer.bos_token or "") + text for text in texts]
    for text, whole in zip(texts, begun, strict=True):
        if not tokenizer(whole, add_special_tokens=False).input_ids:
            raise MixtureError(f"{base.folder}: its tokenizer makes no token of the prompt {text[:40]!r}")
    if mode in FORMS:
        from orchestrator.pipelines.mixture_checkpoint import text_states

        return text_states(base.folder, begun, FORMS[mode])
    from merging.buffers import widen

    name = "model.embed_tokens.weight"
    if name not in base.tensors:
        raise CheckpointError(f"{base.folder}: no tensor {name!r}")
    embeddings = widen(base.array(name), base.tensors[name].dtype, np.dtype(np.float32))
    rows = np.stack([embeddings[tokenizer(text, add_special_tokens=False).input_ids].sum(0) for text in begun])
    return np.asarray(np.broadcast_to(rows, (layers, *rows.shape)), np.float32)
