"""A model over several devices: each holds its own rows or columns, and is written in place like a whole one."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from merging.checkpoint import TensorInfo
from orchestrator.inference.engines.canary import OTHER_ENGINE, difference
from orchestrator.inference.engines.engine import EngineOptions
from orchestrator.inference.engines.vllm_split import TensorPart, UnknownLayout, parts_of
from orchestrator.inference.expert import Expert, ExpertRecipe, Weights
from tests.orchestrator.inference.engines.conftest import make_adapter
from tests.orchestrator.inference.engines.tiny import tiny

# What vLLM says while an engine starts.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def info(name: str, *shape: int) -> TensorInfo:
    return TensorInfo(name, "BF16", shape, Path("f"), 0, 0)


def layer(kind: str, parent: str = "LinearBase", **numbers: Any) -> Any:
    base = type(parent, (), {})
    return type(kind, (base,), {})() if not numbers else _with(type(kind, (base,), {})(), numbers)


def _with(made: Any, numbers: dict[str, Any]) -> Any:
    for name, value in numbers.items():
        setattr(made, name, value)
    return made


def test_on_one_device_every_tensor_is_whole() -> None:
    wanted = [info("q", 8, 4), info("k", 2, 4)]
    assert parts_of(layer("QKVParallelLinear"), "weight", wanted) == tuple(TensorPart(one) for one in wanted)
    assert TensorPart(wanted[0]).index is None


def test_heads_are_shared_out_and_few_of_them_repeated() -> None:
    numbers = {"tp_size": 4, "total_num_heads": 8, "total_num_kv_heads": 2, "num_heads": 2, "num_kv_heads": 1}
    numbers |= {"num_kv_head_replicas": 2, "head_size": 16, "v_head_size": 16, "tp_rank": 3}
    one = layer("QKVParallelLinear", "ColumnParallelLinear", **numbers)
    q, k, v = info("q", 128, 64), info("k", 32, 64), info("v", 32, 64)
    assert parts_of(one, "weight", [q, k, v]) == (
        TensorPart(q, rows=(96, 128)),
        TensorPart(k, rows=(16, 32)),
        TensorPart(v, rows=(16, 32)),
    )
    joined = info("qkv", 192, 64)
    rows = [part.rows for part in parts_of(one, "weight", [joined])]
    assert rows == [(96, 128), (128 + 16, 128 + 32), (160 + 16, 160 + 32)]
    assert [part.rows for part in parts_of(one, "bias", [info("b", 192)])] == rows


def test_gates_are_cut_by_rows_outputs_by_columns_and_what_is_repeated_not_at_all() -> None:
    gate, up = info("gate", 32, 8), info("up", 32, 8)
    merged = layer("MergedColumnParallelLinear", "ColumnParallelLinear", tp_size=2, tp_rank=1, output_sizes=[32, 32])
    assert parts_of(merged, "weight", [gate, up]) == (TensorPart(gate, rows=(16, 32)), TensorPart(up, rows=(16, 32)))
    assert [part.rows for part in parts_of(merged, "weight", [info("both", 64, 8)])] == [(16, 32), (48, 64)]
    down = info("down", 8, 32)
    row = layer("RowParallelLinear", tp_size=2, tp_rank=1)
    (part,) = parts_of(row, "weight", [down])
    assert (part, part.shape, part.index) == (TensorPart(down, columns=(16, 32)), (8, 16), (slice(None), slice(16, 32)))
    assert parts_of(row, "bias", [info("b", 8)]) == (TensorPart(info("b", 8)),)
    same = layer("ReplicatedLinear", tp_size=2, tp_rank=1)
    assert parts_of(same, "weight", [down]) == (TensorPart(down),)
    held = SimpleNamespace(org_vocab_start_index=64, org_vocab_end_index=100)
    words = layer("ParallelLMHead", "VocabParallelEmbedding", tp_size=2, shard_indices=held)
    assert parts_of(words, "weight", [info("e", 100, 8)]) == (TensorPart(info("e", 100, 8), rows=(64, 100)),)


def test_a_split_that_is_not_known_is_refused() -> None:
    with pytest.raises(UnknownLayout, match="FusedMoE: split over 2 devices in a way not known here"):
        parts_of(layer("FusedMoE", tp_size=2), "w13_weight", [info("w", 4, 4)])
    two = layer("ColumnParallelLinear", tp_size=2, tp_rank=0, output_sizes=[4, 4, 4])
    with pytest.raises(UnknownLayout, match="2 tensors for 3 matrices"):
        parts_of(two, "weight", [info("a", 4, 4), info("b", 4, 4)])


@pytest.mark.soak
def test_a_model_over_two_processes_is_swapped_in_place_and_answers_as_a_whole_one(
    vllm_installed: None, model_folder: Path, tmp_path: Path, reference: Any
) -> None:
    """Really over two processes: each has half of every matrix, and computes what it must write itself."""
    from orchestrator.inference.engines.vllm import VLLMEngine

    folders = [tiny(tmp_path / f"m{seed}", model_folder, "tied", seed) for seed in (1, 2)]
    first, second = (
        Expert(folder.name, folder.name, "tied", weights=Weights(folder), context=128) for folder in folders
    )
    adapter = make_adapter(tmp_path / "adapter", folders[0], seed=5)
    adapted = replace(first, name="a", fingerprint="a", weights=Weights(folders[0], adapter))
    recipe = ExpertRecipe("linear", (Weights(folders[0]), Weights(folders[1])), (0.5, 0.5))
    merged = replace(first, name="r", fingerprint="r", weights=None, recipe=recipe)
    engine = VLLMEngine(EngineOptions(batch=2, kv_gib=0.05, context=128, tensor_parallel=2))
    said = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ways = [engine.load(first).way]
        for expert in (second, adapted, merged, first, second, adapted, merged):
            ways.append(engine.load(expert).way)
            canary = engine.canary()
            assert difference(said.setdefault(expert.name, canary), canary, 0.005) is None, expert.name
            assert difference(reference(expert, 2), canary, OTHER_ENGINE) is None, expert.name
        assert ways == ["start", *["in_place"] * 7]
        assert engine._shapes["tied"].refusal is None
        assert all(difference(said["m1"], said[other]) for other in ("m2", "a", "r"))
    finally:
        engine.close()
