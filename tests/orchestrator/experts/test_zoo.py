"""Experts are checked by name and file before anything is loaded; equal contents have equal fingerprints."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from orchestrator.config import validate
from orchestrator.errors import CollegiumError, ExpertError
from orchestrator.experts.zoo import resolve
from orchestrator.inference.expert import Expert

PROJECTION = "model.layers.0.self_attn.q_proj"


def checkpoint(folder: Path, width: int = 8, seed: int = 0, template: bool = True) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    names = ("model.embed_tokens", PROJECTION)
    save_file(
        {f"{name}.weight": rng.normal(size=(width, width)).astype(np.float32) for name in names},
        folder / "model.safetensors",
    )
    config = {"architectures": ["LlamaForCausalLM"], "hidden_size": width, "max_position_embeddings": 512}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"} if template else {}))
    return folder


def adapter(folder: Path, width: int = 8, rank: int = 2, seed: int = 1) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    pair = {"A": (rank, width), "B": (width, rank)}
    tensors = {
        f"base_model.model.{PROJECTION}.lora_{part}.weight": rng.normal(size=shape).astype(np.float32)
        for part, shape in pair.items()
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 4, "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def zoo(tmp_path: Path, **experts: dict[str, Any]) -> dict[str, Expert]:
    data = {"experts": experts, "state": str(tmp_path / "state")}
    return resolve(validate(data, tmp_path / "zoo.yaml"))


def test_experts_of_all_kinds_are_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "secret")
    checkpoint(tmp_path / "base")
    adapter(tmp_path / "lora")
    found = zoo(
        tmp_path,
        plain={"model": "base"},
        tuned={"model": "base", "adapter": "lora"},
        merged={
            "recipe": {"sources": [{"model": "base", "weight": 1}, {"model": "base", "adapter": "lora", "weight": 1}]}
        },
        far={"url": "https://example.org/v1", "model": "big", "api_key_env": "SOME_KEY"},
        acted={"script": "some.module:function"},
    )
    assert len({expert.fingerprint for expert in found.values()}) == 5
    assert found["plain"].shape == found["tuned"].shape == found["merged"].shape
    assert found["plain"].context == 512
    assert found["tuned"].file_bytes > found["plain"].file_bytes
    assert set(found["merged"].files) == {tmp_path / "base", tmp_path / "lora"}
    assert "secret" not in repr(found)


def test_fingerprints_follow_contents_not_places(tmp_path: Path) -> None:
    checkpoint(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    checkpoint(tmp_path / "three", seed=7)
    found = zoo(
        tmp_path, a={"model": "one"}, b={"model": "two"}, c={"model": "three"}, d={"model": "one", "context": 99}
    )
    assert found["a"].fingerprint == found["b"].fingerprint
    assert found["a"].fingerprint != found["c"].fingerprint
    assert found["a"].shape == found["c"].shape
    assert found["a"].fingerprint != found["d"].fingerprint
    again = zoo(tmp_path, a={"model": "one"})
    assert again["a"] == found["a"]


def test_another_width_is_another_shape(tmp_path: Path) -> None:
    checkpoint(tmp_path / "one")
    checkpoint(tmp_path / "wide", width=16)
    found = zoo(tmp_path, a={"model": "one"}, b={"model": "wide"})
    assert found["a"].shape != found["b"].shape


def test_a_rewritten_file_gets_a_new_fingerprint(tmp_path: Path) -> None:
    checkpoint(tmp_path / "one")
    before = zoo(tmp_path, a={"model": "one"})["a"].fingerprint
    shutil.rmtree(tmp_path / "one")
    checkpoint(tmp_path / "one", seed=5)
    assert zoo(tmp_path, a={"model": "one"})["a"].fingerprint != before


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        ("missing", "base: no such folder"),
        ("truncated", r"model\.safetensors.*truncated"),
        ("template", "base: no chat template"),
        ("adapter", r"adapter_model\.safetensors.*lora_A.*wanted"),
        ("no adapter", "lora.*no such folder"),
        ("config", r"config\.json: cannot be read"),
    ],
)
def test_what_cannot_be_used_is_refused_by_expert_and_file(tmp_path: Path, spoil: str, told: str) -> None:
    base = checkpoint(tmp_path / "base", template=spoil != "template")
    adapter(tmp_path / "lora", width=16 if spoil == "adapter" else 8)
    match spoil:
        case "missing":
            shutil.rmtree(base)
        case "truncated":
            data = (base / "model.safetensors").read_bytes()
            (base / "model.safetensors").write_bytes(data[:-10])
        case "no adapter":
            shutil.rmtree(tmp_path / "lora")
        case "config":
            (base / "config.json").unlink()
    with pytest.raises(ExpertError, match=f"expert 'tuned': .*{told}"):
        zoo(tmp_path, tuned={"model": "base", "adapter": "lora"})


def test_a_recipe_of_two_shapes_is_refused_by_tensor(tmp_path: Path) -> None:
    checkpoint(tmp_path / "one")
    checkpoint(tmp_path / "wide", width=16)
    sources = [{"model": "one", "weight": 1}, {"model": "wide", "weight": 1}]
    with pytest.raises(ExpertError, match=r"expert 'merged': .*tensor 'model\..*' has shape \[16, 16\]"):
        zoo(tmp_path, merged={"recipe": {"sources": sources}})


def test_a_key_that_is_not_in_the_environment_is_named_and_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    far = {"url": "https://example.org/v1", "model": "big"}
    found = zoo(tmp_path, far=far | {"api_key_env": "NO_SUCH_KEY"}, azure=far | {"headers": {"api-key": "$NO_KEY"}})
    assert [*found] == ["far", "azure"]
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "expert 'far' is unavailable: the environment variable NO_SUCH_KEY is not set",
        "expert 'azure' is unavailable: the environment variable NO_KEY is not set",
    ]


def test_an_adapter_of_another_base_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoint(tmp_path / "llama-3")
    made = adapter(tmp_path / "lora")
    stored = json.loads((made / "adapter_config.json").read_text())
    for base, said in (("somebody/Llama-3", 0), ("somebody/Llama-3.1", 1)):
        caplog.clear()
        (made / "adapter_config.json").write_text(json.dumps(stored | {"base_model_name_or_path": base}))
        assert zoo(tmp_path, a={"model": "llama-3", "adapter": "lora"})
        assert [record.getMessage() for record in caplog.records if base in record.getMessage()] == [
            f"{made} was trained over {base}, as its adapter_config.json says, not over {tmp_path / 'llama-3'}"
        ] * said


def test_every_refusal_is_a_collegium_error(tmp_path: Path) -> None:
    with pytest.raises(CollegiumError, match="no demo model 'demo/nothing'"):
        zoo(tmp_path, a={"model": "demo/nothing"})


def test_what_a_configuration_says_of_an_expert_reaches_it_and_its_fingerprint(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "one")
    (folder / "generation_config.json").write_text(json.dumps({"do_sample": True, "temperature": 0.7, "top_k": 20}))
    plain, own, greedy = zoo(
        tmp_path,
        plain={"model": "one"},
        own={
            "model": "one",
            "system": "Be brief.",
            "stop": ["\n\n"],
            "chat_template_kwargs": {"enable_thinking": False},
            "sampling": {"top_k": 5},
            "dtype": "float32",
        },
        greedy={"model": "one", "sampling": {"greedy": True}},
    ).values()
    assert (plain.defaults.temperature, plain.defaults.top_k, plain.system) == (0.7, 20, None)
    assert (own.defaults.temperature, own.defaults.top_k, own.system, own.stop) == (0.7, 5, "Be brief.", ("\n\n",))
    assert own.template_variables == '{"enable_thinking": false}'
    assert greedy.defaults.temperature == 0
    assert plain.fingerprint == greedy.fingerprint != own.fingerprint
    assert plain.shape == greedy.shape != own.shape


def test_a_fine_tune_with_other_end_tokens_shares_the_engine(tmp_path: Path) -> None:
    checkpoint(tmp_path / "one")
    other = checkpoint(tmp_path / "two", seed=3)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "eos_token_id": 7, "zzz_tool_note": "1.2"}))
    one, two = zoo(tmp_path, one={"model": "one"}, two={"model": "two"}).values()
    assert one.shape == two.shape
    assert one.fingerprint != two.fingerprint


def test_the_context_is_the_models_own_as_far_as_the_cache_holds_it(tmp_path: Path) -> None:
    checkpoint(tmp_path / "one")
    assert zoo(tmp_path, a={"model": "one"})["a"].context == 512
    assert zoo(tmp_path, a={"model": "one", "context": 9999})["a"].context == 512


def test_a_hub_model_comes_from_the_cache_or_the_command_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    wanted = {"model": "owner/model", "revision": "v2"}
    with pytest.raises(ExpertError, match=r"expert 'far': .*fetch it: hf download owner/model --revision v2"):
        zoo(tmp_path, far=wanted)
    store = tmp_path / "hub" / "models--owner--model"
    checkpoint(store / "snapshots" / ("a" * 40))
    (store / "refs").mkdir()
    (store / "refs" / "v2").write_text("a" * 40)
    far = zoo(tmp_path, far=wanted)["far"]
    assert far.weights is not None
    assert far.weights.model.name == "a" * 40
    (far.weights.model / "model.safetensors").unlink()
    with pytest.raises(ExpertError, match=r"not .wholly. in the hub's cache"):
        zoo(tmp_path, far=wanted)


def text(name: str, content: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(content)


def config(**changes: Any) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        found = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(found | changes))

    return spoil


def pipe(name: str) -> Callable[[Path], object]:
    return lambda folder: ((folder / name).unlink(missing_ok=True), os.mkfifo(folder / name))


def link(name: str, target: str) -> Callable[[Path], object]:
    return lambda folder: ((folder / name).unlink(missing_ok=True), (folder / name).symlink_to(target))


def sparse(name: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        with (folder / name).open("wb") as stream:
            stream.truncate(2**40)

    return spoil


def tensors(header: Any, length: int | None = None) -> Callable[[Path], object]:
    raw = json.dumps(header).encode()

    def spoil(folder: Path) -> None:
        size = struct.pack("<Q", len(raw) if length is None else length)
        (folder / "model.safetensors").write_bytes(size + raw + bytes(512))

    return spoil


def moved(place: str) -> Callable[[Path], object]:
    """All files into a folder further in."""

    def spoil(folder: Path) -> None:
        files = [file for file in folder.iterdir() if file.is_file()]
        (folder / place).mkdir(parents=True)
        for file in files:
            file.rename(folder / place / file.name)

    return spoil


def named(old: str, new: str) -> Callable[[Path], object]:
    return lambda folder: (folder / old).rename(folder / new)


def sharded(weight_map: dict[str, str], *, single: bool = False) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        shutil.copy(folder / "model.safetensors", folder / "model-1-of-1.safetensors")
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
        if not single:
            (folder / "model.safetensors").unlink()

    return spoil


def both(*steps: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: [step(folder) for step in steps]


def bits(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def head(folder: Path) -> None:
    """An output layer of its own, which config.json says is the embedding."""
    embedding = np.ones((8, 8), np.float32)
    saved = {"model.embed_tokens.weight": embedding, f"{PROJECTION}.weight": embedding, "lm_head.weight": 2 * embedding}
    save_file(saved, folder / "model.safetensors")
    config(tie_word_embeddings=True)(folder)


def spread(*offsets: tuple[int, int]) -> dict[str, Any]:
    return {f"t{n}": {"dtype": "F32", "shape": [8, 8], "data_offsets": pair} for n, pair in enumerate(offsets)}


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (text("tokenizer.json", "{}"), r"tokenizer\.json: not a tokenizer"),
        (text("tokenizer.json", "[" * 99_999), r"tokenizer\.json: not valid JSON"),
        (sparse("tokenizer.json"), r"tokenizer\.json: larger than"),
        (pipe("tokenizer.json"), r"tokenizer\.json: not a regular file"),
        (pipe("generation_config.json"), r"generation_config\.json: not a regular file"),
        (pipe("config.json"), r"config\.json: not a regular file"),
        (pipe("model.safetensors"), r"model\.safetensors: not a regular file"),
        (link("config.json", "/dev/zero"), r"config\.json: not a regular file"),
        (link("model.safetensors", "/dev/urandom"), r"model\.safetensors: not a regular file"),
        (link("config.json", "config.json"), r"config\.json: not a regular file"),
        (lambda folder: (folder / "vocab.json").mkdir(), r"vocab\.json: not a regular file"),
        (sparse("chat_template.jinja"), r"chat_template\.jinja: larger than"),
        (text("chat_template.jinja", "{% if x %}"), "chat template: line 1"),
        (text("config.json", "[]"), r"config\.json: not a JSON object"),
        (text("config.json", '{"a":' * 99_999), r"config\.json: not valid JSON"),
        (config(num_hidden_layers=10**9), r"config\.json: num_hidden_layers is '1000000000'"),
        (config(hidden_size="x"), r"config\.json: hidden_size is 'x'"),
        (config(hidden_size=8.5), r"config\.json: hidden_size is '8.5'"),
        (config(num_attention_heads=[1] * 99_999), r"config\.json: num_attention_heads names 99,999 layers"),
        (config(vocab_size=10**12), r"config\.json: vocab_size is"),
        (config(model_type="../" * 20), r"config\.json: model_type is"),
        (config(model_type="a" * 10**6), r"config\.json: model_type is"),
        (config(rope_scaling="x"), r"config\.json: rope_scaling is 'x': not an object"),
        (config(text_config=[1]), r"config\.json: text_config is '\[1\]': not an object"),
        (tensors({}, 2**62), r"model\.safetensors: truncated, or not a safetensors file"),
        (tensors(["x"]), r"model\.safetensors: the header is not a JSON object"),
        (tensors(spread((0, 256), (128, 384))), r"model\.safetensors: tensor 't1' overlaps another"),
        (tensors(spread((0, 256), (256, 512), (512, 768))), r"model\.safetensors: truncated: tensor 't2' ends at"),
        (tensors({"t": {"dtype": "F32", "shape": [2**40] * 2, "data_offsets": [0, 256]}}), r"safetensors: tensor 't'"),
        (tensors({f"t{n}": 0 for n in range(200_001)}), r"model\.safetensors: 200,001 tensors, more than 200,000"),
        (moved("snapshots/0123"), r"no config\.json, but .*snapshots/0123 has one"),
        (moved("checkpoint-500"), r"no config\.json, but .*checkpoint-500 has one"),
        (lambda folder: (folder / "config.json").unlink(), r"config\.json: cannot be read"),
        (named("config.json", "adapter_config.json"), "an adapter: set it as `adapter`"),
        (named("model.safetensors", "model-1-of-2.safetensors"), r"model-1-of-2\.safetensors, but no model.*index"),
        (named("model.safetensors", "consolidated.safetensors"), r"neither model\.safetensors nor"),
        (named("model.safetensors", "pytorch_model.bin"), r"neither model\.safetensors nor .*pickles are not read"),
        (named("model.safetensors", "model.gguf"), r"neither model\.safetensors nor"),
        (sharded({"x": "model-1-of-1.safetensors"}), r"index\.json: tensor 'x' is missing from model-1-of-1"),
        (sharded({"x": "gone.safetensors"}), r"gone\.safetensors: cannot be read"),
        (sharded({"x": "../one/model-1-of-1.safetensors"}), "not the name of a safetensors file in this folder"),
        (sharded({}), r"index\.json: weight_map must map"),
        (sharded({f"{PROJECTION}.weight": "model-1-of-1.safetensors"}, single=True), "libraries differ in which"),
        (both(sharded({}), pipe("model.safetensors.index.json")), r"index\.json: not a regular file"),
        (head, r"tie_word_embeddings, but lm_head\.weight is not model\.embed_tokens\.weight"),
        (bits("config.json", b"\xef\xbb\xbf{}"), r"config\.json: not valid JSON"),
        (bits("config.json", '{"a": 1}'.encode("utf-16")), r"config\.json: not valid JSON"),
        (bits("config.json", b""), r"config\.json: not valid JSON"),
        (bits("model.safetensors", b""), r"model\.safetensors: truncated, or not a safetensors file"),
        (text("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:aa"), "truncated, or not"),
        (link("model.safetensors", "../../blobs/gone"), r"model\.safetensors: not a regular file"),
        (link("tokenizer.json", "/dev/stdin"), r"tokenizer\.json: not a regular file"),
        (config(quantization_config="awq"), r"quantization_config is 'awq': not an object"),
        (config(rope_parameters=[1]), r"rope_parameters is '\[1\]': not an object"),
        (config(num_key_value_heads=True), r"num_key_value_heads is 'True'"),
        (config(max_position_embeddings=2**40), r"max_position_embeddings is"),
        (config(head_dim=0), r"head_dim is '0'"),
        (config(intermediate_size=-1), r"intermediate_size is '-1'"),
        (config(num_local_experts=1e6), r"num_local_experts is '1000000.0'"),
        (text("chat_template.jinja", "{{ x"), "chat template: line 1"),
        (text("tokenizer_config.json", "[]"), r"tokenizer_config\.json: not a JSON object"),
        (text("generation_config.json", "{"), r"generation_config\.json: not valid JSON"),
    ],
)
def test_a_folder_that_no_engine_could_use_is_one_line_before_anything_loads(
    tmp_path: Path, spoil: Callable[[Path], object], told: str
) -> None:
    """The test's own time limit is the bound: a pipe or a device that is read has no end."""
    folder = checkpoint(tmp_path / "one")
    spoil(folder)
    with pytest.raises(ExpertError, match=f"expert 'a': .*{told}") as caught:
        zoo(tmp_path, a={"model": "one"})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_folder_that_leads_back_to_itself_is_read_once(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "one")
    (folder / "again").symlink_to(folder)
    assert zoo(tmp_path, a={"model": "one"})
