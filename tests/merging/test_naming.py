"""Names of tensors, old and new, and what is no weight."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_decoders import Tensors, decoder, linear, write

from merging.plan import Merge
from merging.recipe_file import parse
from tests.scripts.two_towers import CONFIG, seeing

RNG = np.random.default_rng(0)


def gpt2(prefix: str = "", mask: str = "") -> Tensors:
    tensors: Tensors = {f"{prefix}wte.weight": RNG.normal(size=(6, 4)), f"{prefix}wpe.weight": RNG.normal(size=(6, 4))}
    for layer in range(2):
        tensors[f"{prefix}h.{layer}.attn.c_attn.weight"] = RNG.normal(size=(4, 12))
        tensors[f"{prefix}h.{layer}.attn.c_attn.bias"] = RNG.normal(size=12)
        if mask:
            tensors[f"{prefix}h.{layer}.attn.bias"] = np.tril(np.ones((1, 1, 6, 6), mask))
    return tensors


@pytest.mark.parametrize("kind", ["f4", "u1", "?"])
def test_a_bias_is_no_mask_and_a_hub_name_is_the_same_as_todays(tmp_path: Path, kind: str) -> None:
    old, new = gpt2(mask=kind), gpt2("transformer.")
    folders = write(tmp_path / "old", old, n_layer=2), write(tmp_path / "new", new, n_layer=2)
    plan = Merge(parse(linear(*folders)))
    name = "h.1.attn.c_attn.bias"
    np.testing.assert_allclose(plan.array(name), (old[name] + new[f"transformer.{name}"]) / 2, rtol=1e-6)
    assert set(plan.names) == {other for other in old if not other.endswith("attn.bias")} | {
        name,
        "h.0.attn.c_attn.bias",
    }
    (left,) = plan.left_out
    assert "causal mask" in left.reason
    assert len(left.names) == 2


def test_old_and_new_names_and_a_text_model_fit_one_another(tmp_path: Path) -> None:
    old, new, text = seeing(), seeing(old=False), decoder(3)
    folders = [write(tmp_path / name, tensors, **CONFIG) for name, tensors in (("old", old), ("new", new))]
    alone = write(tmp_path / "text", text, architectures=["LlamaForCausalLM"], num_hidden_layers=3)
    plan = Merge(parse(linear(*folders, alone)))
    assert set(plan.names) == set(old)
    name = "layers.1.attn.weight"
    wanted = (old[f"language_model.model.{name}"] + new[f"model.language_model.{name}"] + text[f"model.{name}"]) / 3
    np.testing.assert_allclose(plan.array(f"language_model.model.{name}"), wanted, rtol=1e-5, atol=1e-6)
    sight = "vision_tower.encoder.layers.1.attn.weight"
    np.testing.assert_allclose(plan.array(sight), (old[sight] + new[f"model.{sight}"]) / 2, rtol=1e-5, atol=1e-6)
    assert any("vision_tower" in note or "multi_modal" in note for note in plan.notes)


@pytest.mark.parametrize("prefix", ["base_model.model.", "module.", "_orig_mod.", "module._orig_mod."])
def test_what_training_put_in_front_of_all_names_is_not_in_the_result(tmp_path: Path, prefix: str) -> None:
    plain = decoder(2) | {"lm_head.weight": RNG.normal(size=(6, 4))}
    wrapped = {f"{prefix}{name}": array for name, array in plain.items()}
    folders = [write(tmp_path / n, held, num_hidden_layers=2) for n, held in (("a", wrapped), ("b", plain))]
    for order in (folders, folders[::-1]):
        plan = Merge(parse(linear(*order)))
        assert set(plan.names) == set(plain)
        np.testing.assert_allclose(plan.array("lm_head.weight"), plain["lm_head.weight"], rtol=1e-6)
