"""Adapters of every kind give the weights that peft gives, within 1e-6; extraction and transplants of tokens."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from merging.adapter import Adapter
from merging.checkpoint import Checkpoint, CheckpointError
from merging.decoded import DecodedCheckpoint
from merging.plan import Merge
from merging.recipe_file import parse
from merging.result_config import result_config
from merging.stream import linear, plain

QV = ["q_proj", "v_proj"]
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("llama", {"target_modules": QV}),
    "dora": ("llama", {"target_modules": QV, "use_dora": True}),
    "rslora": ("llama", {"target_modules": QV, "use_rslora": True}),
    "saved": ("llama", {"target_modules": QV, "modules_to_save": ["embed_tokens", "lm_head"]}),
    "head": ("llama", {"target_modules": [*QV, "lm_head"]}),
    "embedding": ("llama", {"target_modules": [*QV, "embed_tokens"]}),
    "embedding dora": ("llama", {"target_modules": [*QV, "embed_tokens"], "use_dora": True}),
    "tokens": ("llama", {"target_modules": QV, "trainable_token_indices": [5, 6]}),
    "patterns": (
        "llama",
        {
            "target_modules": QV,
            "rank_pattern": {r"layers\.0\.self_attn\.q_proj": 2},
            "alpha_pattern": {r"^model\.layers\.1\..*v_proj": 16},
        },
    ),
    "biases": ("qwen2", {"target_modules": QV, "bias": "lora_only"}),
    "lora bias": ("qwen2", {"target_modules": QV, "lora_bias": True}),
    "conv1d": ("gpt2", {"target_modules": ["c_attn"], "fan_in_fan_out": True}),
    "conv1d beside a linear layer": ("gpt2", {"target_modules": ["attn.c_proj", "lm_head"]}),
    "biases and lora bias": ("qwen2", {"target_modules": QV, "bias": "lora_only", "lora_bias": True}),
    "tied embedding saved": ("qwen2", {"target_modules": QV, "modules_to_save": ["embed_tokens"]}),
    "tied output layer saved": ("qwen2", {"target_modules": QV, "modules_to_save": ["lm_head"]}),
    "tied both saved": ("qwen2", {"target_modules": QV, "modules_to_save": ["lm_head", "embed_tokens"]}),
    "tied output layer": ("t5", {"target_modules": ["q", "lm_head"]}),
    "tied output layer of another name": ("whisper", {"target_modules": ["q_proj", "proj_out"]}),
    "conv1d dora": ("gpt2", {"target_modules": ["c_attn"], "fan_in_fan_out": True, "use_dora": True}),
}
PARTED = ("tied embedding saved", "tied output layer saved", "tied both saved")
"""The output layer is no longer the embedding."""


@pytest.fixture(scope="module")
def adapters(
    bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Each kind's folder, and the weights that peft makes of it over its base."""
    made = {}
    for kind, (base, settings) in KINDS.items():
        folder = tmp_path_factory.mktemp("adapter")
        made[kind] = folder, trained(bases[base], settings, folder)
    return made


def trained(base: Path, settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write an adapter with random weights to `folder`; what peft makes of it over its base."""
    import torch
    import transformers
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    architecture = json.loads((base / "config.json").read_text())["architectures"][0]
    with warnings.catch_warnings():
        # peft tells that it saves embeddings that are adapted, and that tied ones are complicated.
        warnings.simplefilter("ignore", UserWarning)
        bare = getattr(transformers, architecture).from_pretrained(base, dtype=torch.float32)
        model = get_peft_model(bare, LoraConfig(r=4, lora_alpha=8, init_lora_weights=False, **settings))
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.copy_(0.1 * torch.randn(parameter.shape))
        model.save_pretrained(folder)
        return {name: tensor.numpy().copy() for name, tensor in model.merge_and_unload().state_dict().items()}


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_is_what_peft_makes_of_it(
    bases: dict[str, Path], adapters: dict[str, tuple[Path, dict[str, Any]]], kind: str
) -> None:
    base, (folder, wanted) = bases[KINDS[kind][0]], adapters[kind]
    plan = Merge(parse({"merge_method": "passthrough", "models": [{"model": f"{base}+{folder}"}], "dtype": "float32"}))
    changed = 0
    own = Checkpoint(base)
    for name in plan.names:
        np.testing.assert_allclose(plan.array(name), wanted[name], atol=1e-6, err_msg=name)
        changed += name not in own.tensors or not np.allclose(own.array(name), wanted[name])
    assert changed >= 2
    # Engines read it through the same reader.
    model = own, Adapter(folder, own)
    if kind in PARTED:
        assert result_config(plan)["tie_word_embeddings"] is False
        assert not np.array_equal(wanted["lm_head.weight"], wanted["model.embed_tokens.weight"])
        assert not model[1].low_rank_only
        with pytest.raises(CheckpointError, match="output layer and embedding become two tensors"):
            plain(model)
        compared = DecodedCheckpoint(*model)
        np.testing.assert_allclose(compared.array("lm_head.weight"), wanted["lm_head.weight"], atol=1e-6)
        return
    for name in (name for name in own.tensors if name in model[1].changes):
        np.testing.assert_allclose(plain(model).tensor(name).numpy(), wanted[name], atol=1e-6)
        half = linear([model, (own, None)], [1, 1]).tensor(name).numpy()
        np.testing.assert_allclose(half, (wanted[name] + own.array(name)) / 2, atol=1e-6)


def test_an_output_layer_adapted_with_its_embedding_is_added_once(bases: dict[str, Path], tmp_path: Path) -> None:
    # peft's own merge adds the product twice, where embedding and output layer are one tensor.
    trained(bases["qwen2"], {"target_modules": ["lm_head"], "ensure_weight_tying": True}, tmp_path)
    base = Checkpoint(bases["qwen2"])
    adapter = Adapter(tmp_path, base)
    assert len(adapter.left_out) >= 2
    name = "model.embed_tokens.weight"
    down, up, scale = adapter.arrays(name)
    raw = {"merge_method": "passthrough", "models": [{"model": f"{bases['qwen2']}+{tmp_path}"}], "dtype": "float32"}
    found = Merge(parse(raw)).array(name)
    np.testing.assert_allclose(found, base.array(name) + scale * (up @ down), atol=1e-6)


def test_rows_of_an_embedding_trained_beside_an_adapted_output_layer_are_refused(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    trained(bases["qwen2"], {"target_modules": ["lm_head"], "trainable_token_indices": [3]}, tmp_path)
    with pytest.raises(CheckpointError, match=r"lm_head is adapted beside the other .* no longer be one tensor"):
        Adapter(tmp_path, Checkpoint(bases["qwen2"]))


@pytest.mark.parametrize("kind", ["dora", "tokens"])
def test_a_pickled_adapter_is_read_only_where_that_is_allowed(
    bases: dict[str, Path], adapters: dict[str, Any], tmp_path: Path, kind: str
) -> None:
    import torch
    from safetensors.torch import load_file

    folder, wanted = adapters[kind]
    old = tmp_path / "old"
    old.mkdir()
    (old / "adapter_config.json").write_text((folder / "adapter_config.json").read_text())
    torch.save(load_file(folder / "adapter_model.safetensors"), old / "adapter_model.bin")
    raw = {"merge_method": "passthrough", "models": [{"model": f"{bases['llama']}+{old}"}], "dtype": "float32"}
    with pytest.raises(CheckpointError, match=r"adapter_model\.bin is a pickle.*--allow-bin"):
        Merge(parse(raw))
    plan = Merge(parse(raw), allow_bin=True)
    for name in plan.names:
        np.testing.assert_allclose(plan.array(name), wanted[name], atol=1e-6, err_msg=name)


def test_blocks_of_any_size_give_the_same(bases: dict[str, Path], adapters: dict[str, Any]) -> None:
    from merging.adapted import Adapted
    from merging.slab import Plain

    for kind, name in (("dora", "model.layers.0.self_attn.q_proj.weight"), ("tokens", "model.embed_tokens.weight")):
        base = Checkpoint(bases["llama"])
        slab = Adapted(Plain(base, name), Adapter(adapters[kind][0], base), name, base.tensors[name].shape)
        size = base.array(name).size
        whole, parts = np.empty(size, "f4"), np.empty(size, "f4")
        slab.read(0, size, whole)
        for start in range(0, size, 37):
            slab.read(start, min(start + 37, size), parts[start : start + 37])
        np.testing.assert_array_equal(parts, whole)


@pytest.mark.parametrize("minus_base", [True, False])
def test_what_is_more_than_a_product_compares_as_what_peft_makes_of_it(
    bases: dict[str, Path], adapters: dict[str, Any], minus_base: bool
) -> None:
    from merging.similarity import similarity

    base = Checkpoint(bases["llama"])
    kinds = ("plain", "dora", "saved", "rslora")
    models = [(base, Adapter(adapters[kind][0], base)) for kind in kinds]
    subtracted = base if minus_base else None
    found = similarity([*models, (base, None)], [subtracted] * 5)
    names = [name for name in base.tensors if "self_attn" in name or "mlp" in name]
    merged = [*(adapters[kind][1] for kind in kinds), {name: base.array(name) for name in names}]
    for i, one in enumerate(merged):
        for j, other in enumerate(merged):
            means = []
            for name in names:
                less = base.array(name).astype("f8") if minus_base else 0
                a, b = one[name].astype("f8") - less, other[name].astype("f8") - less
                # PEFT's own rounding is no difference.
                a, b = (np.where(np.abs(array) < 1e-6, 0, array) for array in (a, b))
                lengths = np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0)
                either = (a != 0).any(0) | (b != 0).any(0)
                if either.any():
                    means.append(((a * b).sum(0)[either] / np.where(lengths > 0, lengths, 1)[either]).mean())
            assert found.values[i, j] == pytest.approx(np.mean(means) if means else 1, abs=2e-4), (i, j)
    assert len(set(found.families)) == 1


def eight_bits(name: str, array: Any) -> dict[str, Any]:
    """As bitsandbytes stores 8 bits: rows with a scale each."""
    scale = np.abs(array).max(1)
    codes = np.round(array / scale[:, None] * 127).astype("i1")
    return {name: codes, name.replace(".weight", ".SCB"): scale}


def four_bits(name: str, array: Any) -> dict[str, Any]:
    """As bitsandbytes stores 4 bits: two codes in a byte, blocks of 8 with a scale each."""
    table = np.linspace(-1, 1, 16, dtype="f4")
    blocks = array.reshape(-1, 8)
    scale = np.abs(blocks).max(1)
    codes = np.abs(blocks[..., None] / scale[:, None, None] - table).argmin(-1).reshape(-1, 2)
    label = json.dumps({"shape": list(array.shape), "blocksize": 8}).encode()
    return {
        name: (codes[:, :1] << 4 | codes[:, 1:]).astype("u1"),
        f"{name}.absmax": scale,
        f"{name}.quant_map": table,
        f"{name}.quant_state.bitsandbytes__nf4": np.frombuffer(label, "u1"),
    }


@pytest.mark.parametrize("pack", [eight_bits, four_bits])
def test_an_adapter_over_a_quantised_base(
    bases: dict[str, Path], adapters: dict[str, Any], tmp_path: Path, pack: Any
) -> None:
    packed = {}
    for name, array in load_file(bases["llama"] / "model.safetensors").items():
        packed |= pack(name, array) if name.endswith("_proj.weight") else {name: array}
    (tmp_path / "b").mkdir()
    save_file(packed, tmp_path / "b" / "model.safetensors")
    config = json.loads((bases["llama"] / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes"}
    (tmp_path / "b" / "config.json").write_text(json.dumps(config))
    plain, adapted = (
        Merge(parse({"merge_method": "passthrough", "models": [{"model": model}], "dtype": "float32"}))
        for model in (str(tmp_path / "b"), f"{tmp_path / 'b'}+{adapters['plain'][0]}")
    )
    adapter = Adapter(adapters["plain"][0], Checkpoint(bases["llama"]))
    assert len(adapter.pairs) == 4
    for name in plain.names:
        added = 0.0
        if name in adapter.pairs:
            down, up, scale = adapter.arrays(name)
            added = scale * (up.astype("f8") @ down)
        np.testing.assert_allclose(adapted.array(name), plain.array(name) + added, atol=1e-6, err_msg=name)


def test_an_adapter_never_misses_its_base_in_silence(
    bases: dict[str, Path], adapters: dict[str, Any], tmp_path: Path
) -> None:
    # Decoded, this base has other names than it is stored under.
    packed = {}
    for name, array in load_file(bases["llama"] / "model.safetensors").items():
        packed |= eight_bits(f"module.{name}", array) if name.endswith("_proj.weight") else {f"module.{name}": array}
    save_file(packed, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((bases["llama"] / "config.json").read_text())
    raw = {"merge_method": "passthrough", "models": [{"model": f"{tmp_path}+{adapters['plain'][0]}"}]}
    with pytest.raises(CheckpointError, match=r"adapter changes .* no weight of its base"):
        Merge(parse(raw))
