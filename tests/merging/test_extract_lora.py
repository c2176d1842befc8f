"""What a fine-tune changed, as an adapter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from merging.extract_lora import extract_lora
from merging.merge import merge
from merging.recipe_file import parse

SHAPE = {"vocab_size": 24, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "pad_token_id": 0}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    import torch
    import transformers as t

    torch.manual_seed(0)
    more = {"intermediate_size": 24, "num_key_value_heads": 1, "max_position_embeddings": 32}
    made = {
        "llama": t.LlamaForCausalLM(t.LlamaConfig(**SHAPE, **more)),
        "qwen2": t.Qwen2ForCausalLM(t.Qwen2Config(**SHAPE, **more, tie_word_embeddings=True)),
        "gpt2": t.GPT2LMHeadModel(t.GPT2Config(vocab_size=24, n_embd=16, n_layer=2, n_head=2, n_positions=32)),
    }
    folder = tmp_path_factory.mktemp("bases")
    for name, model in made.items():
        model.save_pretrained(folder / name)
    return {name: folder / name for name in made}


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
