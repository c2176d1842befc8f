"""vLLM's arguments: what a machine and an expert ask for."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import ExpertFailed
from orchestrator.inference.engines.engine import EngineOptions
from orchestrator.inference.engines.vllm import VLLMEngine
from orchestrator.inference.engines.vllm_start import (
    ANSWERS_DIFFER,
    MAX_LORA_RANK,
    STEP_TOKENS,
    _beside_numba,
    arguments,
    cores_of,
    differing_key,
    hush_registry,
    loading_failed,
    not_imported,
    refuse_differing,
    start,
)
from orchestrator.inference.expert import Expert, Weights
from orchestrator.inference.schedule.placement import engine_arguments


def test_on_a_processor_a_prompt_enters_in_one_step_and_nothing_is_compiled() -> None:
    found = arguments(Path("/m"), 4_096, EngineOptions(batch=8), gpu=False)
    assert (found["model"], found["max_model_len"], found["max_num_seqs"]) == ("/m", 4_096, 8)
    assert (found["enable_chunked_prefill"], found["max_num_batched_tokens"]) == (False, 4_096)
    assert (found["enforce_eager"], found["kv_cache_memory_bytes"]) == (True, 2**30)
    assert arguments(Path("/m"), 256, EngineOptions(batch=8), gpu=False)["max_num_batched_tokens"] == STEP_TOKENS
    assert "enable_sleep_mode" not in found


def test_on_a_card_vllm_keeps_its_own_ways_and_may_sleep() -> None:
    found = arguments(Path("/m"), 256, EngineOptions(), gpu=True)
    assert found["enable_sleep_mode"] is True
    assert not {"enforce_eager", "enable_chunked_prefill", "kv_cache_memory_bytes"} & set(found)
    assert arguments(Path("/m"), 256, EngineOptions(kv_gib=2), gpu=True)["kv_cache_memory_bytes"] == 2 * 2**30


def test_adapters_run_side_by_side_only_where_that_is_asked_for() -> None:
    assert "enable_lora" not in arguments(Path("/m"), 256, EngineOptions(), gpu=False)
    found = arguments(Path("/m"), 256, EngineOptions(side_by_side=True), gpu=False)
    assert (found["enable_lora"], found["max_lora_rank"]) == (True, MAX_LORA_RANK)


def test_prompts_are_cached_and_a_models_own_sampling_defaults_are_not_taken() -> None:
    found = arguments(Path("/m"), 256, EngineOptions(tensor_parallel=2), gpu=True)
    assert (found["enable_prefix_caching"], found["generation_config"], found["tensor_parallel_size"]) == (
        True,
        "vllm",
        2,
    )


def test_each_worker_of_a_split_model_has_cores_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {5, 0, 1, 4, 7}, raising=False)
    assert cores_of(2) == "0,1|4,5"
    assert cores_of(5) == "0|1|4|5|7"
    assert cores_of(6) == "nobind"
    assert cores_of(1) == ""


CLASSES = {
    "llama": "LlamaForCausalLM",
    "gemma3n": "Gemma3nForConditionalGeneration",
    "gemma3n_text": "Gemma3nForCausalLM",
    "gpt_oss": "GptOssForCausalLM",
    "hrm_text": "HrmTextForCausalLM",
    "jetmoe": "JetMoeForCausalLM",
}


def typed(kind: str, folder: Path) -> Expert:
    import tiny_llama

    tiny_llama.write(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": kind, "architectures": [CLASSES[kind]]}))
    return Expert("one", "print", "shape", weights=Weights(folder), context=64)


@pytest.mark.parametrize("kind", sorted(ANSWERS_DIFFER))
def test_a_type_that_vllm_answers_otherwise_is_refused_before_anything_starts(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = VLLMEngine(EngineOptions(compare=False))
    monkeypatch.setattr(engine, "_reach", lambda *_: None)
    with pytest.raises(ExpertFailed, match=f"'one'.*type '{kind}'.*workers.engine: transformers"):
        engine.load(typed(kind, tmp_path))
    engine.load(typed("llama", tmp_path))
    monkeypatch.setattr("orchestrator.inference.engines.vllm.on_gpu", lambda: True)
    engine.load(typed(kind, tmp_path))


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"model_type": "llama", "partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        ({"model_type": "llama", "rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor"),
        ({"model_type": "llama", "rope_parameters": {"partial_rotary_factor": 1.0}}, ""),
        ({"model_type": "llama", "rotary_pct": 0.25}, "rotary_pct"),
        ({"model_type": "gpt_neox", "rotary_pct": 0.25}, ""),
        ({"model_type": "phi", "partial_rotary_factor": 0.5}, ""),
        ({"model_type": "olmoe", "norm_topk_prob": True}, "norm_topk_prob"),
        ({"model_type": "olmoe", "norm_topk_prob": False}, ""),
        ({"model_type": "qwen3_moe", "norm_topk_prob": True}, ""),
    ],
)
def test_a_key_that_vllm_computes_with_otherwise_is_refused_by_its_name(config: dict[str, Any], key: str) -> None:
    assert differing_key(config) == key
    if key:
        with pytest.raises(ExpertFailed, match=rf"'one': config\.json: {key}: .*workers\.engine: transformers"):
            refuse_differing(Expert("one", "print", "shape"), config, gpu=True)


def test_a_bare_assertion_of_vllm_names_expert_and_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise AssertionError

    engine = VLLMEngine(EngineOptions())
    monkeypatch.setattr(engine, "_reach", fails)
    with pytest.raises(
        ExpertFailed, match=r"'one'.*type 'llama': AssertionError: a condition .*transformers"
    ) as caught:
        engine.load(typed("llama", tmp_path))
    assert "\n" not in str(caught.value)


def test_the_arguments_that_we_know_are_those_of_the_installed_vllm(vllm_installed: None) -> None:
    from vllm.engine.arg_utils import EngineArgs

    assert engine_arguments() == {field.name for field in dataclasses.fields(EngineArgs)}


def test_what_the_configuration_says_goes_before_what_we_choose(
    vllm_installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vllm.engine import arg_utils

    seen: dict[str, Any] = {}

    def refuses(**wanted: Any) -> None:
        seen.update(wanted)
        raise ValueError("not\ntoday")

    monkeypatch.setattr(arg_utils, "EngineArgs", refuses)
    config: dict[str, Any] = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    config |= {"sliding_window": 64, "logit_scale": 2}
    config["text_config"] = dict(config)
    (tmp_path / "config.json").write_text(json.dumps(config))
    expert = Expert("one", "print", "shape", weights=Weights(tmp_path), dtype="float16", trust_remote_code=True)
    told = ("hf_overrides", {"logit_scale": 3, "text_config": {"sliding_window": 8}})
    options = EngineOptions(vllm=(("load_format", "dummy"), ("enable_chunked_prefill", True), told))
    with pytest.raises(
        ExpertFailed, match=f"{tmp_path}: vLLM cannot run it: not today; workers.engine: transformers may"
    ):
        start(expert, tmp_path, 64, options, apart=False)
    inner = {"sliding_window": 8, "logit_scale": 1.0}
    assert seen["hf_overrides"] == {"sliding_window": None, "logit_scale": 3, "text_config": inner}
    assert (seen["load_format"], seen["enable_chunked_prefill"]) == ("dummy", True)
    assert (seen["dtype"], seen["trust_remote_code"], seen["max_model_len"]) == ("float16", True, 64)

    def asserts(**_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(arg_utils, "EngineArgs", asserts)
    with pytest.raises(ExpertFailed, match=r"AssertionError: a condition in .* does not hold; workers\.engine"):
        start(expert, tmp_path, 64, options, apart=False)


def test_a_second_engine_of_a_process_does_not_start_in_the_environment_of_the_first(
    vllm_installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vLLM keeps its environment once an engine runs: a model over two processes then found no cores."""
    from vllm import envs
    from vllm.engine import arg_utils

    seen: list[bool] = []

    def refuses(**_: Any) -> None:
        seen.append(envs.VLLM_ENABLE_V1_MULTIPROCESSING)
        raise ValueError("not today")

    monkeypatch.setattr(arg_utils, "EngineArgs", refuses)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}))
    for apart in (False, True, False):
        with pytest.raises(ExpertFailed, match="not today"):
            start(Expert("one", "print", "shape", weights=Weights(tmp_path)), tmp_path, 64, EngineOptions(), apart)
        envs.enable_envs_cache()  # as an engine does that has begun
    envs.disable_envs_cache()
    assert seen == [False, True, False]


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes", "lower workers.kv_gib"),
        ("CUDA out of memory. Tried to allocate 20.00 MiB", "lower workers.kv_gib"),
        ("To serve at least one request, 9 GiB KV cache is needed, larger than the available KV cache memory", "lower"),
        ("no kernel for this", "workers.engine: transformers may run it"),
    ],
)
def test_the_remedy_for_too_little_memory_is_memory(said: str, remedy: str) -> None:
    expert = Expert("one", "print", "shape")
    found = str(loading_failed(expert, {"model_type": "llama"}, RuntimeError(said)))
    assert remedy in found
    assert ("transformers may" in found) == ("transformers" in remedy)


def test_a_class_that_vllm_cannot_import_is_a_reason_and_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    hush_registry()
    logger = logging.getLogger("vllm.model_executor.models.registry")
    try:
        raise RuntimeError("Error raised in subprocess:\nTraceback ...\nModuleNotFoundError: No module named 'eyes'\n")
    except RuntimeError:
        logger.exception("Error in inspecting model architecture '%s'", "SeeingForCausalLM")
    logger.error("something else")
    assert [record.getMessage() for record in caplog.records if record.name == logger.name] in (
        ["something else"],
        [],  # vLLM's own loggers hand nothing on once it is imported
    )
    said = "Value error, Model architectures ['SeeingForCausalLM'] failed to be inspected. Please check the logs"
    why = "its class SeeingForCausalLM cannot be imported: ModuleNotFoundError: No module named 'eyes'"
    assert not_imported(said) == why
    assert not_imported("Value error, Model architectures ['OtherForCausalLM'] failed to be inspected") == ""


def test_vllm_may_look_through_what_numba_loaded_whoever_looked_before() -> None:
    ffi = pytest.importorskip("llvmlite.binding.ffi")
    with contextlib.suppress(AttributeError):
        vars(ffi.lib)  # from now on a function of that name is remembered
    _beside_numba()
    assert vars(ffi.lib) == {}
