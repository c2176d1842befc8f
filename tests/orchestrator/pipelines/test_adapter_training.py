"""Training on a Llama of two tiny layers, with a byte-level tokenizer made on the spot."""

import fcntl
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import tiny_llama

from distill.train import StepMetrics
from orchestrator.errors import ConfigError
from orchestrator.pipelines.adapter_training import AdapterSpec, train
from orchestrator.pipelines.training_examples import Portions

FEW = Portions(solve=12, attempt=6, reconsider=4, follow=6, keywords=4)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama.write(tmp_path_factory.mktemp("tiny"))


def spec(base: Path, **changes: Any) -> AdapterSpec:
    settings = {"name": "tiny", "base": str(base), "tasks": ("coin_flip",), "portions": FEW, "rank": 4, "batch": 4}
    return AdapterSpec.model_validate(settings | changes)


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "adapter_model.safetensors").read_bytes()).hexdigest()


def test_training_lowers_the_loss_and_writes_an_adapter_that_peft_reads(tiny: Path, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    losses: list[float] = []
    last = train(spec(tiny, epochs=8, learning_rate=1e-2), tmp_path / "out", lambda m: losses.append(m.next_token or 0))
    assert (last.step, last.steps, len(losses)) == (64, 64, 64)
    assert sum(losses[-8:]) < 0.9 * sum(losses[:8])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert AdapterSpec.read(tmp_path / "out" / "training.json").epochs == 8
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tiny)

    plain = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    ids = torch.arange(20)[None]
    before = plain(ids).logits
    adapted = PeftModel.from_pretrained(plain, str(tmp_path / "out"))
    after = adapted(ids).logits
    assert (after - before).abs().max() > 0.1
    dtypes = {parameter.dtype for name, parameter in adapted.named_parameters() if "lora" in name}
    assert len(dtypes) == 1


def test_the_same_seed_trains_the_same_adapter_and_another_seed_another(tiny: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(spec(tiny, seed=seed), tmp_path / name)
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "c")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            '{"name": "x", "tasks": ["datez"]}',
            r"training.json: tasks: .*unknown task 'datez'; generated tasks are arith",
        ),
        ('{"name": "x", "tasks": ["dates"], "ranks": 4}', r"training.json: ranks: "),
        ('{"name": "x", "tasks": ["dates"], "portions": {"solve": -1}}', r"training.json: portions.solve: "),
        ('{"name": "../x", "tasks": ["dates"]}', r"training.json: name: "),
        ("{", r"training.json: \(whole file\): "),
    ],
)
def test_a_bad_specification_is_refused_with_file_and_key(tmp_path: Path, body: str, message: str) -> None:
    path = tmp_path / "training.json"
    path.write_text(body)
    with pytest.raises(ConfigError, match=message):
        AdapterSpec.read(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        AdapterSpec.read(tmp_path / "gone.json")


def test_a_training_that_was_interrupted_goes_on(tiny: Path, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(metrics: StepMetrics) -> None:
        (work,) = tmp_path.glob(".out-*")
        with (work / ".lock").open() as other, pytest.raises(BlockingIOError):  # no second process may train here
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if metrics.step == 12:
            raise Stop

    wanted = spec(tiny, epochs=2)
    train(wanted, tmp_path / "whole")
    with pytest.raises(Stop):
        train(wanted, tmp_path / "out", stop)
    assert not (tmp_path / "out").exists()
    steps: list[int] = []
    train(wanted, tmp_path / "out", lambda metrics: steps.append(metrics.step))
    assert steps == list(range(11, 17))
    assert digest(tmp_path / "out") == digest(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


def test_a_base_that_is_no_checkpoint_is_refused(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'tiny': base: .*no checkpoint there"):
        train(spec(tmp_path), tmp_path / "out")
    none = Portions(solve=0, attempt=0, reconsider=0, follow=0, keywords=0)
    with pytest.raises(ConfigError, match=r"'tiny': no examples"):
        train(spec(tiny, portions=none), tmp_path / "out")
    assert not (tmp_path / "out").exists()
