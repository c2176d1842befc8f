"""What is known of a type of model: by the table of one release, or by a comparison that was made here before."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import ExpertFailed
from orchestrator.inference.engines import compared_types as module
from orchestrator.inference.engines.agreement import Agreement
from orchestrator.inference.engines.compared_types import doubt, equal_before, in_table, recall, remember
from orchestrator.inference.expert import Expert

TABLE = Path(__file__).parents[4] / "benchmarks" / "results" / "architectures.md"
EXPERT = Expert("mine", "print", "shape")
NEW: dict[str, Any] = {"model_type": "brand_new", "hidden_size": 64, "eos_token_id": 2}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(module, "engine_version", lambda _: module.RELEASE)
    return tmp_path


def test_the_table_lists_what_was_measured_right_and_nothing_else() -> None:
    rows = [line.split(" | ") for line in TABLE.read_text().splitlines() if line.startswith("| ")]
    right = {row[0][2:] for row in rows if row[1:3] == ["vllm", "right"]}
    assert right - {"gpt-sw3", "doge"}  # whose type is gpt2; which is not right in float32


def test_the_table_holds_for_its_own_release_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert in_table({"model_type": "llama"})
    assert not in_table(NEW)
    monkeypatch.setattr(module, "engine_version", lambda _: "vllm 0.33.0")
    assert not in_table({"model_type": "llama"})
    assert not equal_before(EXPERT, {"model_type": "llama"})


SWITCHES = TABLE.parent / "config_switches.md"


def test_the_switches_of_the_table_are_those_that_were_measured_right() -> None:
    rows = [line.strip("| ").split(" | ") for line in SWITCHES.read_text().splitlines() if line.startswith("| ")]
    right = [(row[1], json.loads(row[2].strip("`"))) for row in rows if row[3:5] == ["vllm", "right"]]
    for kind, keys in module.SWITCHES.items():
        assert keys <= {key for own, measured in right if own == kind for key in measured}


@pytest.mark.parametrize(
    ("config", "keys"),
    [
        ({"model_type": "llama", "hidden_size": 64, "attention_bias": True, "tie_word_embeddings": True}, []),
        ({"model_type": "llama", "hidden_act": "gelu"}, ["hidden_act"]),
        ({"model_type": "llama", "use_cache": False, "eos_token_id": 7, "a_tool_of_mine": True}, []),
        ({"model_type": "mistral", "sliding_window": None}, []),
        ({"model_type": "qwen2", "use_sliding_window": False, "max_window_layers": 28}, []),
        ({"model_type": "gemma2", "attn_logit_softcapping": None}, []),
        ({"model_type": "qwen3_moe", "norm_topk_prob": True}, ["norm_topk_prob"]),
        ({"model_type": "olmo", "clip_qkv": 8.0}, ["clip_qkv"]),
        ({"model_type": "gpt2", "intermediate_size": 64, "scale_attn_weights": True}, []),
    ],
)
def test_a_key_that_nobody_has_compared_is_compared(config: dict[str, Any], keys: list[str]) -> None:
    assert module.unusual(config) == keys
    assert in_table(config) == (not keys)


def test_what_was_found_is_remembered_for_the_same_arithmetic() -> None:
    assert recall(EXPERT, NEW) is None
    assert not equal_before(EXPERT, NEW)
    assert "`collegium experts check mine`" in doubt(EXPERT, NEW)
    remember(EXPERT, NEW, Agreement(exact=True))
    assert equal_before(EXPERT, {**NEW, "eos_token_id": 5})
    assert doubt(EXPERT, NEW) == ""
    assert not equal_before(EXPERT, {**NEW, "hidden_size": 128})
    assert not equal_before(replace(EXPERT, dtype="float16"), NEW)
    assert not equal_before(EXPERT, {**NEW, "model_type": "newer"})


@pytest.mark.parametrize("changed", ["engine_version", "device"])
def test_another_release_or_device_is_compared_again(monkeypatch: pytest.MonkeyPatch, changed: str) -> None:
    remember(EXPERT, NEW, Agreement(exact=True))
    monkeypatch.setattr(module, changed, lambda *_: "another")
    assert not equal_before(EXPERT, NEW)


def test_a_type_that_differs_is_refused_with_both_remedies() -> None:
    remember(EXPERT, NEW, Agreement("token 0: other tokens are likely", exact=True))
    with pytest.raises(ExpertFailed) as refused:
        equal_before(EXPERT, NEW)
    for part in (
        "'mine'",
        "'brand_new'",
        "token 0: other tokens",
        "workers.engine: transformers",
        "experts check mine",
    ):
        assert part in str(refused.value)
    assert "answers otherwise than transformers" in doubt(EXPERT, NEW)


def test_a_list_of_experts_names_types_that_are_not_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doubt(EXPERT, {"model_type": "llama"}) == ""
    monkeypatch.setattr(module, "engine_version", lambda _: "vllm 0.33.0")
    assert "type 'llama' were not compared" in doubt(EXPERT, {"model_type": "llama"})


def test_a_cache_that_cannot_be_read_or_written_is_no_error(cache: Path) -> None:
    remember(EXPERT, NEW, Agreement(exact=True))
    (file,) = (cache / "collegium" / "compared").iterdir()
    assert json.loads(file.read_text())["type"] == "brand_new"
    file.write_text("[]")
    assert not equal_before(EXPERT, NEW)
    file.unlink()
    file.parent.rmdir()
    file.parent.write_text("")
    remember(EXPERT, NEW, Agreement(exact=True))
    assert not equal_before(EXPERT, NEW)


def test_the_device_is_named() -> None:
    assert module.device().split()[0] == "cpu"
