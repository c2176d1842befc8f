"""Local files only, one line whatever they are, and no model with random numbers in a tensor's place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from orchestrator.inference.pretrained import load_config, load_model, load_tokenizer


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tiny_llama

    return tiny_llama.write(tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize("load", [load_tokenizer, load_config, load_model])
def test_what_is_no_model_is_one_line(load: object, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "no-such-model"}')
    with pytest.raises((OSError, ValueError)) as caught:
        load(tmp_path)  # type: ignore[operator]
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_the_python_of_a_folder_is_not_run(tiny: Path, tmp_path: Path) -> None:
    config = json.loads((tiny / "config.json").read_text())
    config |= {"model_type": "strange", "auto_map": {"AutoConfig": "strange.Strange"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "strange.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass Strange: pass\n")
    with pytest.raises(ValueError, match=r"Python of its own.*experts\.NAME\.trust_remote_code"):
        load_config(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_tensor_that_is_missing_or_left_over_is_named(tiny: Path) -> None:
    from safetensors.torch import load_file

    state = load_file(tiny / "model.safetensors")
    assert load_model(tiny, state=dict(state)).training is False
    name = next(name for name in state if "up_proj" in name)
    without = {key: tensor for key, tensor in state.items() if key != name}
    with pytest.raises(ValueError, match=f"missing keys: {name}"):
        load_model(tiny, state=without)
    with pytest.raises(ValueError, match="unexpected keys: another"):
        load_model(tiny, state={**state, "another": state[name]})


def test_a_tensor_of_another_size_than_the_configuration_says_is_named(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "wide")
    config = json.loads((tiny / "config.json").read_text())
    (tmp_path / "wide" / "config.json").write_text(json.dumps(config | {"vocab_size": 300}))
    with pytest.raises(ValueError, match=r"mismatched keys: .*embed_tokens\.weight"):
        load_model(tmp_path / "wide")


def test_a_cap_on_the_logits_of_attention_is_computed_with(tmp_path: Path) -> None:
    """transformers' default attention leaves Gemma 2's out."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "vocab_size": 64, "head_dim": 16}
    sizes |= {"num_attention_heads": 2, "num_key_value_heads": 1, "initializer_range": 0.5}
    for cap in (0.1, None):
        config = AutoConfig.for_model("gemma2", **sizes, attn_logit_softcapping=cap)
        torch.manual_seed(1)
        AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(tmp_path)
        model = load_model(tmp_path, dtype="float32")
        eager = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32, attn_implementation="eager")
        ids = torch.arange(20)[None]
        with torch.inference_mode():
            found, wanted = model(ids).logits, eager.eval()(ids).logits
        assert torch.allclose(found, wanted, atol=1e-4)
        assert (model.config._attn_implementation == "eager") == (cap is not None)


def test_constants_of_old_files_are_no_tensors_left_over(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model("gpt2", n_embd=16, n_layer=1, n_head=2, vocab_size=32, n_positions=16)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in load_file(weights).items()}
    save_file({**tensors, "h.0.attn.masked_bias": torch.tensor(-1e4)}, weights, {"format": "pt"})
    assert load_model(tmp_path)
    save_file({**tensors, "h.0.attn.unmasked_bias": torch.tensor(-1e4)}, weights, {"format": "pt"})
    with pytest.raises(ValueError, match=r"unexpected keys: h\.0\.attn\.unmasked_bias"):
        load_model(tmp_path)
