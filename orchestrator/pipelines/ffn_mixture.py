"""Experts of one shape as one checkpoint with their MLPs behind gates (F-L-T), to stand beside the real mixture.

The gates are training-free: each layer's row of an expert is what its prompts look like there on the base, less what
the others' look like (Model-GLUE, https://arxiv.org/abs/2410.05357, section 4.4).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agents.prompts import solve
from agents.question import Question
from merging.checkpoint import Adapter, Checkpoint
from merging.mixture import Mixture, States, prompt_gates
from merging.stream import Model, linear, plain
from orchestrator.config import Config, ExpertConfig
from orchestrator.errors import BadInput
from orchestrator.experts.expert import Expert
from orchestrator.experts.zoo import resolve

NAME = "F-L-T"
MOST_PROMPTS = 16
"""Prompts of an expert that its gates are made of."""


def ffn_mixture(
    experts: Sequence[Expert], questions: Sequence[Question], owners: Sequence[int | None], config: Config
) -> Expert:
    """The mixture as an expert of its own, written once below the state folder.

    `owners[i]`: which of `experts` question i is for; None: nobody's. Raises `BadInput` for fewer than two experts
    with questions; takes as much disk as all their MLPs.
    """
    mine = [[n for n, owner in enumerate(owners) if owner == index][:MOST_PROMPTS] for index in range(len(experts))]
    kept = [index for index, own in enumerate(mine) if own]
    if len(kept) < 2:
        raise BadInput("a mixture at FFN level wants at least two experts that are the best at some question")
    asked = [n for index in kept for n in mine[index]]
    identity = [[experts[index].fingerprint for index in kept], [questions[n].id for n in asked]]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    folder = Path(config.state).expanduser() / "mixtures" / digest
    if not folder.exists():
        opened: dict[Path, Checkpoint] = {}
        models = [_model(experts[index], opened) for index in kept]
        base = models[0][0]
        states = gate_states(base.folder, [questions[n] for n in asked])
        gates = prompt_gates(states, [place for place, index in enumerate(kept) for _ in mine[index]], len(kept))
        dense = linear(models, [1.0] * len(models))
        Mixture(dense, tuple(plain(model) for model in models), gates).write(folder)
    alone = config.model_copy(update={"experts": {NAME: ExpertConfig(model=str(folder))}})
    return resolve(alone)[NAME]


def gate_states(folder: Path, questions: Sequence[Question]) -> States:
    """[layers, questions, hidden]: what each layer's MLP sees at the last token of each prompt, by transformers."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    seen: list[torch.Tensor] = []
    hooks = [
        layer.mlp.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0, -1]))
        for layer in network.model.layers
    ]
    states = []
    with torch.no_grad():
        for question in questions:
            seen.clear()
            text = tokenizer.apply_chat_template(solve(question), add_generation_prompt=True, tokenize=False)
            network.model(**tokenizer(text, return_tensors="pt", add_special_tokens=False))
            states.append(torch.stack(seen).numpy().copy())
    for hook in hooks:
        hook.remove()
    return np.stack(states, 1).astype(np.float32)


def _model(expert: Expert, opened: dict[Path, Checkpoint]) -> Model:
    assert expert.weights
    folder = expert.weights.model
    if folder not in opened:
        opened[folder] = Checkpoint(folder)
    checkpoint = opened[folder]
    return checkpoint, Adapter(expert.weights.adapter, checkpoint) if expert.weights.adapter else None
