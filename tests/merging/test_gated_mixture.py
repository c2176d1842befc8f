"""Every form of mixture that has a type of its own, against the dense models it is made of."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_llama
import torch
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache

from merging import gated_model
from merging.checkpoint import Checkpoint, CheckpointError
from merging.gated_mixture import GatedMixture
from merging.gates import Gates, LinearGates, MixtureError, MLPGates
from merging.stream import Blend, linear, plain

LAYERS, HIDDEN = 2, 48
FORMS = ("F-L-T", "F-L-S", "F-M-T", "F-M-S", "B-L-S", "B-M-S")
ROUTED_ONCE = [form for form in FORMS if form.endswith("S")]
IDS = torch.tensor([[5, 17, 90, 3, 44, 7, 200, 11]])


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> list[Blend]:
    folders = [tiny_llama.write(tmp_path_factory.mktemp("m"), seed, "float32") for seed in range(3)]
    return [plain((Checkpoint(folder), None)) for folder in folders]


def gates(kind: str, experts: int) -> Gates:
    random = np.random.default_rng(1)

    def draw(*shape: int) -> Any:
        return random.standard_normal((LAYERS, *shape)).astype(np.float32)

    if kind == "L":
        return LinearGates(draw(experts, HIDDEN))
    return MLPGates(draw(5, HIDDEN), draw(5), draw(experts, 5), draw(experts))


def mixture(form: str, dense: Blend, experts: list[Blend], **more: Any) -> GatedMixture:
    level, gate, route = form.split("-")
    levels = {"level": "ffn" if level == "F" else "block", "route": "token" if route == "T" else "sample"}
    return GatedMixture(dense, tuple(experts), gates(gate, len(experts)), **{**levels, **more})


def loaded(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def logits(network: Any, ids: torch.Tensor = IDS, **more: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = network(input_ids=ids, use_cache=False, **more).logits
    return found


@pytest.fixture(scope="module")
def networks(dense: list[Blend], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A mixture of three different experts in every form."""
    found = {}
    for form in FORMS:
        folder = tmp_path_factory.mktemp("mixture") / form
        mixture(form, linear([(one.checkpoint, None) for one in dense], [1] * 3), dense).write(folder)
        found[form] = loaded(folder)
    return found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("per_route", [1, 3])
def test_identical_experts_are_the_dense_model(form: str, per_route: int, dense: list[Blend], tmp_path: Path) -> None:
    mixture(form, dense[0], [dense[0]] * 3, per_route=per_route).write(tmp_path / "out")
    network = loaded(tmp_path / "out")
    assert type(network) is gated_model.GatedMixtureForCausalLM
    assert (logits(network) - logits(loaded(dense[0].checkpoint.folder))).abs().max() < 1e-3


@pytest.mark.parametrize("form", FORMS)
def test_dense_layers_are_the_dense_models_own(form: str, dense: list[Blend], tmp_path: Path) -> None:
    wanted = logits(loaded(dense[0].checkpoint.folder))
    for layers, same in ((LAYERS, True), (1, False)):
        mixture(form, dense[0], dense, dense_layers=layers).write(tmp_path / str(layers))
        network = loaded(tmp_path / str(layers))
        assert bool((logits(network) - wanted).abs().max() < 1e-3) == same
        assert torch.equal(greedy(network, IDS, use_cache=True), greedy(network, IDS, use_cache=False))


@pytest.mark.parametrize("form", FORMS)
def test_the_cache_changes_nothing(form: str, networks: dict[str, Any]) -> None:
    network, cache, steps = networks[form], DynamicCache(), []
    with torch.no_grad():
        steps.append(network(input_ids=IDS[:, :4], past_key_values=cache).logits)
        steps += [network(input_ids=IDS[:, [place]], past_key_values=cache).logits for place in range(4, 8)]
    whole = logits(network, prompt_length=4)
    assert torch.allclose(torch.cat(steps, 1), whole, atol=1e-4)


@pytest.mark.parametrize("form", ROUTED_ONCE)
def test_an_answer_keeps_its_prompts_route(form: str, networks: dict[str, Any]) -> None:
    network, cache = networks[form], DynamicCache()
    with torch.no_grad():
        network(input_ids=IDS[:, :4], past_key_values=cache)
        network(input_ids=IDS[:, 4:], past_key_values=cache)
    routes = cache.layers[network.model.routes]
    assert routes.keys.shape == (1, LAYERS, IDS.shape[1], 2)
    assert torch.equal(routes.keys, routes.keys[:, :, :1].expand_as(routes.keys))
    assert torch.equal(routes.values, routes.values[:, :, :1].expand_as(routes.values))
    assert torch.allclose(routes.keys.sum(-1), torch.ones(1))
    # Were the answer part of what is routed, the logits would be others.
    assert not torch.allclose(logits(network), logits(network, prompt_length=4), atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_padding_and_neighbours_change_nothing(form: str, networks: dict[str, Any]) -> None:
    network = networks[form]
    prompts = [IDS[0, :3], IDS[0], IDS[0, 2:7]]
    ids = torch.zeros(3, 8, dtype=torch.long)
    mask = torch.zeros(3, 8, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, 8 - len(prompt) :], mask[row, 8 - len(prompt) :] = prompt, 1
    together = greedy(network, ids, attention_mask=mask)[:, 8:]
    alone = torch.cat([greedy(network, prompt[None])[:, len(prompt) :] for prompt in prompts])
    assert torch.equal(together, alone)
    assert len({tuple(row) for row in together.tolist()}) == 3


@pytest.mark.parametrize("form", FORMS)
def test_generate_says_the_same_with_and_without_a_cache(form: str, networks: dict[str, Any]) -> None:
    network = networks[form]
    assert torch.equal(greedy(network, IDS, use_cache=True), greedy(network, IDS, use_cache=False))
    beams = greedy(network, IDS, num_beams=2)
    assert torch.equal(beams, greedy(network, IDS, num_beams=2, use_cache=False))


@pytest.mark.parametrize("form", FORMS)
def test_it_is_saved_and_loaded_as_any_model(form: str, networks: dict[str, Any], tmp_path: Path) -> None:
    networks[form].save_pretrained(tmp_path)
    again = loaded(tmp_path)
    weights = networks[form].state_dict()
    assert again.state_dict().keys() == weights.keys()
    for name, values in again.state_dict().items():
        assert torch.equal(values, weights[name]), name
    # Not bit for bit: a matrix product's rounding depends on where its numbers lie in memory.
    assert torch.allclose(logits(again), logits(networks[form]), atol=1e-4)
    settings = ("level", "route", "gate", "gate_width", "experts", "per_route", "dense_layers", "rope_parameters")
    for key in settings:
        assert getattr(again.config, key) == getattr(networks[form].config, key)


def test_gates_choose_the_expert(dense: list[Blend], tmp_path: Path) -> None:
    """With one expert a route, gates that always say the same make the mixture that expert, whole at block level."""
    for chosen in range(3):
        rows = np.zeros((LAYERS, 3, 1), np.float32)
        outer_bias = np.eye(3, dtype=np.float32)[[chosen] * LAYERS]
        always = MLPGates(np.zeros((LAYERS, 1, HIDDEN), np.float32), rows[:, 0], rows, outer_bias)
        made = GatedMixture(dense[0], tuple(dense), always, "block", "sample", per_route=1)
        made.write(tmp_path / str(chosen))
        network, wanted = loaded(tmp_path / str(chosen)), loaded(dense[chosen].checkpoint.folder)
        for part in ("embed_tokens", "norm"):  # these are the dense model's
            getattr(network.model, part).load_state_dict(getattr(wanted.model, part).state_dict())
        assert torch.allclose(logits(network), logits(wanted), atol=1e-4)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"per_route": 3}, "per_route is 3, not a number from 1 to 2"),
        ({"dense_layers": 3}, "dense_layers is 3, of 2"),
        ({"level": "model"}, "level is 'model', none of ffn, block"),
        ({"level": "block", "route": "token"}, "route is 'token' at level 'block'"),
        ({"gates": gates("L", 3)}, "want finite"),
    ],
)
def test_what_cannot_be_is_refused_by_name(more: dict[str, Any], told: str, dense: list[Blend]) -> None:
    with pytest.raises(MixtureError, match=told):
        GatedMixture(**{"dense": dense[0], "experts": tuple(dense[:2]), "gates": gates("L", 2), **more})


def test_models_that_differ_are_refused(dense: list[Blend], tmp_path: Path) -> None:
    folder = tiny_llama.write(tmp_path / "m")
    with pytest.raises(CheckpointError, match="BF16"):
        mixture("F-L-S", dense[0], [dense[0], plain((Checkpoint(folder), None))])
    for key, value in (("model_type", "gpt2"), ("sliding_window", 16)):
        config = folder / "config.json"
        kept = config.read_text()
        config.write_text(json.dumps(json.loads(kept) | {key: value}))
        other = plain((Checkpoint(folder), None))
        with pytest.raises(MixtureError, match=key):
            mixture("F-L-S", other, [other, other])
        config.write_text(kept)


@pytest.mark.parametrize(("key", "value"), [("experts", 10**9), ("level", "../x"), ("per_route", -1), ("gate", None)])
def test_a_lying_configuration_is_refused_before_weights(
    key: str, value: Any, networks: dict[str, Any], tmp_path: Path
) -> None:
    networks["F-M-S"].save_pretrained(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {key: value}))
    with pytest.raises(Exception, match=key):
        AutoConfig.from_pretrained(tmp_path)


def greedy(network: Any, ids: torch.Tensor, **more: Any) -> torch.Tensor:
    more.setdefault("attention_mask", torch.ones_like(ids))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: torch.Tensor = network.generate(ids, max_new_tokens=4, do_sample=False, eos_token_id=None, **more)
    return found
