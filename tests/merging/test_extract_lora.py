"""What a fine-tune changed, as an adapter."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from small_decoders import decoder, write

from merging.checkpoint import CheckpointError
from merging.extract_lora import extract_lora
from merging.merge import merge
from merging.recipe_file import parse


def test_an_extracted_adapter_gives_the_model_back(bases: dict[str, Path], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tensors = load_file(bases["llama"] / "model.safetensors")
    for name in tensors:
        if name.endswith(("q_proj.weight", "down_proj.weight")):
            rows, columns = tensors[name].shape
            tensors[name] = tensors[name] + (rng.normal(size=(rows, 3)) @ rng.normal(size=(3, columns))).astype("f4")
    tensors["model.norm.weight"] = tensors["model.norm.weight"] + 1
    (tmp_path / "fine").mkdir()
    save_file(tensors, tmp_path / "fine" / "model.safetensors")
    (tmp_path / "fine" / "config.json").write_text((bases["llama"] / "config.json").read_text())
    result = extract_lora(str(tmp_path / "fine"), str(bases["llama"]), tmp_path / "lora", rank=4)
    assert "4 layers at rank 4, 1 tensors saved whole" in result.notes[0]
    ref = f"{bases['llama']}+{tmp_path / 'lora'}"
    merge(parse({"merge_method": "passthrough", "models": [{"model": ref}], "dtype": "float32"}), tmp_path / "out")
    for name, array in load_file(tmp_path / "out" / "model.safetensors").items():
        np.testing.assert_allclose(array, tensors[name], atol=2e-5)
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(bases["llama"], dtype=torch.float32)
    loaded = PeftModel.from_pretrained(model, tmp_path / "lora").merge_and_unload().state_dict()
    np.testing.assert_allclose(loaded["model.norm.weight"].numpy(), tensors["model.norm.weight"], atol=1e-6)
    q = "model.layers.1.self_attn.q_proj.weight"
    np.testing.assert_allclose(loaded[q].numpy(), tensors[q], atol=2e-5)


def test_of_gpt_2_peft_makes_the_model_again(bases: dict[str, Path], tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import GPT2LMHeadModel

    rng = np.random.default_rng(0)
    tensors = load_file(bases["gpt2"] / "model.safetensors")
    for name in tensors:
        if name.endswith(("c_attn.weight", "c_proj.weight")):
            rows, columns = tensors[name].shape
            tensors[name] = tensors[name] + (rng.normal(size=(rows, 3)) @ rng.normal(size=(3, columns))).astype("f4")
    (tmp_path / "fine").mkdir()
    save_file(tensors, tmp_path / "fine" / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "fine" / "config.json").write_text((bases["gpt2"] / "config.json").read_text())
    extract_lora(str(tmp_path / "fine"), str(bases["gpt2"]), tmp_path / "lora", rank=4)
    base = GPT2LMHeadModel.from_pretrained(bases["gpt2"], dtype=torch.float32)
    found = PeftModel.from_pretrained(base, tmp_path / "lora").merge_and_unload().state_dict()
    wanted = GPT2LMHeadModel.from_pretrained(tmp_path / "fine", dtype=torch.float32).state_dict()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["qwen2", "gpt2", "whisper"])
def test_where_everything_changed_peft_makes_the_model_again(bases: dict[str, Path], tmp_path: Path, kind: str) -> None:
    """Biases of linear layers, norms of two tensors of which one changed, a tied embedding."""
    import torch
    import transformers
    from peft import PeftModel

    own = getattr(transformers, json.loads((bases[kind] / "config.json").read_text())["architectures"][0])

    rng = np.random.default_rng(0)
    tensors = {
        name: array if name.endswith("ln_1.bias") else (array + rng.normal(0, 0.1, array.shape)).astype("f4")
        for name, array in load_file(bases[kind] / "model.safetensors").items()
    }
    (tmp_path / "fine").mkdir()
    save_file(tensors, tmp_path / "fine" / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "fine" / "config.json").write_text((bases[kind] / "config.json").read_text())
    extract_lora(str(tmp_path / "fine"), str(bases[kind]), tmp_path / "lora", rank=64)
    base = own.from_pretrained(bases[kind], dtype=torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # peft tells that tied layers are complicated
        found = PeftModel.from_pretrained(base, tmp_path / "lora").merge_and_unload().state_dict()
    wanted = own.from_pretrained(tmp_path / "fine", dtype=torch.float32).state_dict()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-4)
    # Our own reader makes the same of it, and the result stays tied.
    ref = f"{bases[kind]}+{tmp_path / 'lora'}"
    merge(parse({"merge_method": "passthrough", "models": [{"model": ref}], "dtype": "float32"}), tmp_path / "out")
    made = load_file(tmp_path / "out" / "model.safetensors")
    assert set(made) == set(tensors)
    for name, array in made.items():
        np.testing.assert_allclose(array, tensors[name], atol=1e-4)


def test_models_that_are_cut_otherwise_have_no_adapter_between_them(bases: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.safetensors").write_bytes((bases["llama"] / "model.safetensors").read_bytes())
    config = json.loads((bases["llama"] / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "num_key_value_heads": 2}))
    with pytest.raises(CheckpointError, match="num_key_value_heads"):
        extract_lora(str(other), str(bases["llama"]), tmp_path / "lora")
    (other / "config.json").write_text(json.dumps(config))
    tensors = load_file(bases["llama"] / "model.safetensors")
    tensors["model.layers.0.mlp.up_proj.weight"] = np.ones((30, 16), "f4")
    save_file(tensors, other / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"up_proj\.weight' is \[30, 16\]"):
        extract_lora(str(other), str(bases["llama"]), tmp_path / "lora")


def test_only_what_writes_text_has_an_output_layer_and_a_shared_embedding_is_refused(tmp_path: Path) -> None:
    said = {"num_hidden_layers": 1, "tie_word_embeddings": True}
    tensors = decoder(1, "")
    folders = {}
    for name, architecture, embedding in (("bert", "BertModel", "embed_tokens"), ("t5", "T5Model", "shared")):
        held = {key.replace("embed_tokens", embedding): array for key, array in tensors.items()}
        for which, more in (("base", 0), ("fine", 1)):
            place = tmp_path / f"{name}-{which}"
            folders[name, which] = write(place, {k: v + more for k, v in held.items()}, **said)
            config = json.loads((place / "config.json").read_text())
            (place / "config.json").write_text(json.dumps({**config, "architectures": [architecture]}))
    extract_lora(str(folders["bert", "fine"]), str(folders["bert", "base"]), tmp_path / "lora")
    config = json.loads((tmp_path / "lora" / "adapter_config.json").read_text())
    assert "lm_head" not in config["modules_to_save"]
    assert config["task_type"] is None
    with pytest.raises(CheckpointError, match=r"'shared\.weight' changed, which encoder and decoder share"):
        extract_lora(str(folders["t5", "fine"]), str(folders["t5", "base"]), tmp_path / "t5-lora")
