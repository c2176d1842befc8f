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
