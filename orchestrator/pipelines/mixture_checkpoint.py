"""Experts of one shape as one checkpoint with their MLPs or layers behind gates, to stand beside the real mixture.

The forms are Model-GLUE's (https://arxiv.org/abs/2410.05357, section 4.4): see `merging.gated_mixture`. F-L-T is
written in Mixtral's layout, which vLLM loads; the others are loaded by the transformers engine only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agents.prompts import solve
from agents.question import Question
from merging.adapter import Adapter
from merging.checkpoint import Checkpoint, json_object
from merging.gated_mixture import GatedMixture, MixtureLevel, RoutingUnit
from merging.gates import LinearGates, MLPGates, States, mlp_gates, prompt_gates, trained_gates
from merging.mixture import Mixture
from merging.stream import Model, linear, plain
from orchestrator.config import Config, ExpertConfig
from orchestrator.errors import BadInput
from orchestrator.experts.zoo import resolve
from orchestrator.inference.expert import Expert

MixtureForm = Literal["F-L-T", "F-L-S", "F-M-T", "F-M-S", "B-L-S", "B-M-S"]
FORMS: tuple[MixtureForm, ...] = ("F-L-T", "F-L-S", "F-M-T", "F-M-S", "B-L-S", "B-M-S")
ANY_ENGINE: MixtureForm = "F-L-T"
GateTraining = Literal["prompts", "trained"]
"""How linear gates are made: training-free from prompts, or by regression. Others are always trained."""
MAX_PROMPTS = 32
"""Prompts of an expert that its gates are made of."""


def mixture_checkpoint(
    experts: Sequence[Expert],
    questions: Sequence[Question],
    owners: Sequence[int | None],
    config: Config,
    form: MixtureForm = ANY_ENGINE,
    learnt: GateTraining = "prompts",
    dense_layers: int = 0,
) -> Expert:
    """The mixture as an expert of its own, named after its form and written once below the state folder.

    `owners[i]`: which of `experts` question i is for; None: nobody's. `dense_layers`: so many of the lowest layers are
    the merged model's (a hybrid). Raises `BadInput` for fewer than two experts with questions, and for more dense
    layers than leave one to route; takes as much disk as all their MLPs or layers.
    """
    mine = [[n for n, owner in enumerate(owners) if owner == index][:MAX_PROMPTS] for index in range(len(experts))]
    kept = [index for index, own in enumerate(mine) if own]
    if len(kept) < 2:
        raise BadInput(f"a mixture {form} wants at least two experts that are the best at some question")
    asked = [n for index in kept for n in mine[index]]
    check_dense_layers(dense_layers, experts)
    hybrid = [dense_layers] if dense_layers else []
    identity = [form, *hybrid, learnt, [experts[index].fingerprint for index in kept], [questions[n].id for n in asked]]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    folder = Path(config.state).expanduser() / "mixtures" / digest
    if not folder.exists():
        opened: dict[Path, Checkpoint] = {}
        models = [_model(experts[index], opened) for index in kept]
        states = gate_states(models[0][0].folder, [questions[n] for n in asked], form)
        places = [place for place, index in enumerate(kept) for _ in mine[index]]
        _write(folder, models, states, places, form, learnt, dense_layers)
    name = f"{form}-hybrid-{dense_layers}" if dense_layers else form
    alone = config.model_copy(update={"experts": {name: ExpertConfig(model=str(folder))}})
    return resolve(alone)[name]


def check_dense_layers(dense_layers: int, experts: Sequence[Expert]) -> None:
    """Raises `BadInput` naming the expert in which so many dense layers leave none to route."""
    for expert in experts:
        assert expert.weights
        layers = json_object(expert.weights.model / "config.json").get("num_hidden_layers")
        if isinstance(layers, int) and not 0 <= dense_layers < layers:
            raise BadInput(
                f"dense_layers: {dense_layers} of the {layers} layers of {expert.name!r} leave none to route"
            )


def sole_owners(right: NDArray[np.float32]) -> list[int | None]:
    """Of each question, [questions, experts] right or not, the expert that alone has it right, else None."""
    return [int(row.argmax()) if row.sum() == 1 else None for row in right]


def gate_states(folder: Path, questions: Sequence[Question], form: MixtureForm) -> States:
    """[layers, questions, hidden]: what a form's gates see of each question's prompt on one model, by transformers."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    texts = [
        tokenizer.apply_chat_template(solve(question), add_generation_prompt=True, tokenize=False)
        for question in questions
    ]
    return text_states(folder, texts, form)


def text_states(folder: Path, texts: Sequence[str], form: MixtureForm) -> States:
    """[layers, texts, hidden]: what a form's gates see of each text on one model.

    A layer's MLP sees its normed input, a layer its own at root mean square 1; a gate for tokens is made from the last
    one, a gate for samples from the mean of all.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    network = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, trust_remote_code=False
    ).eval()
    blocks, last = form.startswith("B"), form.endswith("T")
    seen: list[torch.Tensor] = []

    def note(_: object, inputs: tuple[torch.Tensor, ...]) -> None:
        x = inputs[0][0]
        if blocks:
            x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)
        seen.append(x[-1] if last else x.mean(0))

    places = [layer if blocks else layer.mlp for layer in network.model.layers]
    hooks = [place.register_forward_pre_hook(note) for place in places]
    states = []
    with torch.no_grad():
        for text in texts:
            seen.clear()
            network.model(**tokenizer(text, return_tensors="pt", add_special_tokens=False))
            states.append(torch.stack(seen).numpy().copy())
    for hook in hooks:
        hook.remove()
    return np.stack(states, 1).astype(np.float32)


def _write(
    folder: Path,
    models: Sequence[Model],
    states: States,
    owners: Sequence[int],
    form: MixtureForm,
    learnt: GateTraining,
    dense_layers: int,
) -> None:
    dense, experts = linear(models, [1.0] * len(models)), tuple(plain(model) for model in models)
    level, gate, route = form.split("-")
    gates: LinearGates | MLPGates
    if gate == "M":
        gates = mlp_gates(states, owners, len(experts))
    else:
        gates = (prompt_gates if learnt == "prompts" else trained_gates)(states, owners, len(experts))
    if form == ANY_ENGINE:
        assert isinstance(gates, LinearGates)
        Mixture(dense, experts, gates, dense_layers=dense_layers).write(folder)
        return
    levels: dict[str, MixtureLevel] = {"F": "ffn", "B": "block"}
    routes: dict[str, RoutingUnit] = {"T": "token", "S": "sample"}
    GatedMixture(dense, experts, gates, levels[level], routes[route], dense_layers=dense_layers).write(folder)


def _model(expert: Expert, opened: dict[Path, Checkpoint]) -> Model:
    assert expert.weights
    folder = expert.weights.model
    if folder not in opened:
        opened[folder] = Checkpoint(folder)
    checkpoint = opened[folder]
    return checkpoint, Adapter(expert.weights.adapter, checkpoint) if expert.weights.adapter else None
