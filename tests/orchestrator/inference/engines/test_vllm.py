"""vLLM alone: what is written in place is what a fresh engine loads from disk, bit for bit."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from merging.checkpoint import Checkpoint
from merging.stream import plain
from orchestrator.errors import ExpertError, ExpertFailed
from orchestrator.inference.engines.engine import EngineOptions
from orchestrator.inference.engines.vllm_weights import LiveWeights, UnknownLayout, refuse_unused
from orchestrator.inference.expert import Expert, Weights
from tests.orchestrator.inference.engines.tiny import changed_config

# What vLLM says while an engine starts.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

QUESTIONS = ("Tell me about rivers.", "Name three animals.", "What is seven plus five?")


@pytest.fixture(scope="module")
def fine_tune(model_folder: Path, adapters: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole checkpoint in which everything differs from the base: matrices, norms and the (tied) embedding. Beside it
    lies a file that no index names, whose weights are others: vLLM's own loader would take them."""
    import torch
    from safetensors.torch import save_file

    from orchestrator.inference.engines.sources import Sources

    folder = tmp_path_factory.mktemp("tuned") / "model"
    shutil.copytree(model_folder, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    generator = torch.Generator().manual_seed(4)
    blend = Sources().blend(Expert("one", "one", "s", weights=Weights(model_folder, adapters["one"])))
    tensors = dict(blend)
    for name in ("model.embed_tokens.weight", "model.norm.weight", "model.layers.5.input_layernorm.weight"):
        noise = 1 + 0.1 * torch.randn(tensors[name].shape, generator=generator)
        tensors[name] = (tensors[name].float() * noise).to(torch.bfloat16)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    stray = {"model.norm.weight": torch.full_like(tensors["model.norm.weight"], 3.0)}
    save_file(stray, folder / "older.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def fresh(fine_tune: Path, vllm_installed: None) -> Iterator[Any]:
    """A second engine, in the same process, started on the fine-tune's file."""
    from orchestrator.inference.engines.vllm import VLLMEngine

    engine = VLLMEngine(EngineOptions(batch=8, kv_gib=0.25, context=512))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        engine.load(tuned(fine_tune))
    yield engine
    engine.close()


def tuned(folder: Path) -> Expert:
    return Expert("tuned", "print-tuned", "smollm2", weights=Weights(folder), context=512)


def replies(subject: Any, engine: Any, expert: Expert) -> list[Any]:
    """Tokens and log-probabilities, one question at a time: a batch of another size may round otherwise."""
    other = replace_engine(subject, engine)
    found = []
    for question in QUESTIONS:
        request = other.request(question, expert, logprobs=2)
        found.append([delta.logprobs for delta in other.run(request, expert=expert)[request.key]])
    return found


def replace_engine(subject: Any, engine: Any) -> Any:
    return type(subject)(subject.name, engine, subject.first, subject.second)


def test_weights_written_in_place_answer_as_a_fresh_engine_does(vllm: Any, fresh: Any, fine_tune: Path) -> None:
    expert = tuned(fine_tune)
    assert vllm.engine.load(expert).way == "in_place"
    assert isinstance(vllm.engine._shape().live.weights, LiveWeights)
    assert replies(vllm, vllm.engine, expert) == replies(vllm, fresh, expert)


def test_the_way_back_is_exact(vllm: Any, fresh: Any, fine_tune: Path) -> None:
    expert = tuned(fine_tune)
    assert fresh.load(expert).way == "resident"
    before = replies(vllm, fresh, expert)
    assert fresh.load(vllm.second).way == "in_place"
    vllm.engine.load(vllm.second)
    assert replies(vllm, fresh, vllm.second) == replies(vllm, vllm.engine, vllm.second)
    fresh.load(expert)
    assert replies(vllm, fresh, expert) == before
    # Whoever came back is kept packed: the next way back takes those matrices. (The first way in was held against a
    # model built anew, which had kept nothing yet.)
    weights = fresh._shape().live.weights
    assert not weights._kept
    fresh.load(vllm.second)
    fresh.load(expert)
    fresh.load(vllm.second)
    # Not on a processor for which vLLM keeps the plain matrices: nothing is packed there but copies of them.
    assert bool(weights._kept) is any(slot.packed and not slot.live.numel() for slot in weights.slots)
    fresh.load(expert)
    assert replies(vllm, fresh, expert) == before


def test_a_swap_writes_only_what_differs(vllm: Any) -> None:
    live = vllm.engine._shape().live.weights
    sources = vllm.engine.sources
    layers = 30
    assert len(live.become(sources.blend(vllm.second))) == 4 * layers  # qkv, o, gate_up, down
    assert live.become(sources.blend(vllm.second)) == []
    assert len(live.become(sources.blend(vllm.first))) == 4 * layers


def test_a_swap_counts_the_bytes_that_it_reads(vllm: Any) -> None:
    """The first factor of docs/concepts/swapping.md: a whole model once, then what an adapter changes, then nothing."""
    live, blend = vllm.engine._shape().live.weights, vllm.engine.sources.blend
    sizes = {name: info.stop - info.start for name, info in blend(vllm.first).checkpoint.tensors.items()}
    live.distrust()
    live.become(blend(vllm.first))
    assert live.moved == sum(sizes.values())
    live.become(blend(vllm.second))
    assert live.moved == sum(size for name, size in sizes.items() if name.endswith("_proj.weight"))
    live.become(blend(vllm.second))
    assert live.moved == 0
    live.become(blend(vllm.first))


def test_layouts_that_are_not_understood_are_not_written(vllm: Any) -> None:
    live = vllm.engine._shape().live.weights
    model = vllm.engine._shape().live.model
    swapped = dict(model.packed_modules_mapping)
    model.packed_modules_mapping = {**swapped, "gate_up_proj": ["up_proj", "gate_proj"]}
    try:
        with pytest.raises(UnknownLayout, match="gate_up_proj: the live weights are not"):
            LiveWeights(model, live.resident)
        model.packed_modules_mapping = {**swapped, "gate_up_proj": ["gate_proj"]}
        with pytest.raises(
            UnknownLayout, match=r"gate_up_proj: live shape .(0,|3072, 576)., the checkpoint's .1536, 576."
        ):
            LiveWeights(model, live.resident)
        model.packed_modules_mapping = {}
        with pytest.raises(UnknownLayout, match="the checkpoint has no tensor for it"):
            LiveWeights(model, live.resident)
    finally:
        model.packed_modules_mapping = swapped


def test_a_bias_that_vllm_would_leave_out_is_refused_unless_it_is_zero(
    vllm: Any, model_folder: Path, tmp_path: Path
) -> None:
    """Llama's loader in vLLM skips biases that the config does not ask for; transformers refuses them."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors = load_file(model_folder / "model.safetensors")
    name = "model.layers.0.self_attn.q_proj.bias"
    for value in (0.0, 1.0):
        folder = changed_config(model_folder, tmp_path / str(value))
        (folder / "model.safetensors").unlink()
        save_file({**tensors, name: torch.full((576,), value)}, folder / "model.safetensors", {"format": "pt"})
        live = vllm.engine._shape().live
        if value:
            with pytest.raises(ValueError, match=f"{name}.*vLLM leaves it out"):
                live._adopt(plain((Checkpoint(folder), None)))
        else:
            refuse_unused(live.model, Checkpoint(folder))
    refuse_unused(live.model, Checkpoint(model_folder))


def test_a_matrix_that_no_file_fills_is_named_and_not_left_as_memory_was(
    model_folder: Path, tmp_path: Path, vllm_installed: None
) -> None:
    """vLLM itself notices only missing norms."""
    from orchestrator.inference.engines.vllm import VLLMEngine

    folder = changed_config(model_folder, tmp_path / "untied", tie_word_embeddings=False)
    made = VLLMEngine(EngineOptions(batch=4, kv_gib=0.05, context=256))
    with pytest.raises(ExpertError, match="the files hold no tensor for 'lm_head'"):
        made.load(Expert("untied", "untied", "untied", weights=Weights(folder), context=256))
    made.close()


@pytest.mark.parametrize(
    ("kind", "tensor", "error", "said"),
    [
        ("mixture", "model.layers.1.block_sparse_moe.experts.3.w1.weight", ExpertFailed, r"a part of .*w13_weight'"),
        ("mixture", "model.layers.0.block_sparse_moe.experts.0.w2.weight", ExpertFailed, r"a part of .*w2_weight'"),
        ("transposed", "transformer.h.1.attn.c_attn.bias", ExpertError, r".*attn\.c_attn\.bias'"),
    ],
)
def test_an_expert_or_a_bias_that_no_file_fills_is_named(
    tiny_model: Any, tmp_path: Path, vllm_installed: None, kind: str, tensor: str, error: type[Exception], said: str
) -> None:
    """Of experts, whichever the canary meets."""
    from safetensors.torch import load_file, save_file

    from orchestrator.inference.engines.vllm import VLLMEngine

    folder = changed_config(tiny_model(kind, 1), tmp_path / "holed")
    tensors = load_file(folder / "model.safetensors")
    del tensors[tensor]
    (folder / "model.safetensors").unlink()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    made = VLLMEngine(EngineOptions(batch=4, kv_gib=0.05, context=256))
    with pytest.raises(error, match=f"the files hold no tensor for {said}"):
        made.load(Expert("holed", "holed", "holed", weights=Weights(folder), context=256))
    made.close()


def test_where_the_layout_is_unknown_the_model_is_built_anew_and_answers_the_same(
    vllm: Any, fresh: Any, fine_tune: Path
) -> None:
    shape = vllm.engine._shape()
    live = shape.live
    expert = tuned(fine_tune)
    shape.refusal = live.refusal = "not known"
    kept, live.weights = live.weights, None
    old = live.model
    try:
        vllm.engine.load(vllm.second)
        vllm.engine.load(expert)
        assert live.model is not old
        assert replies(vllm, vllm.engine, expert) == replies(vllm, fresh, expert)
    finally:
        shape.refusal = live.refusal = None
        live.build(vllm.engine.sources.blend(vllm.first))
        shape.distrust()
        vllm.engine._resident = None
    assert kept is not live.weights
    vllm.engine.load(vllm.first)


def test_a_second_shape_lives_beside_the_first(vllm: Any) -> None:
    from orchestrator.experts.demo import PRUNED, locate

    before = vllm.ask(QUESTIONS[0])
    pruned = Expert("pruned", "print-pruned", "pruned", weights=Weights(locate(PRUNED)), context=512)
    assert vllm.engine.load(pruned).way == "start"
    vllm.ask(QUESTIONS[0], pruned)  # from now on the prompt's first block is cached, which may round otherwise
    there = vllm.ask(QUESTIONS[0], pruned)
    assert vllm.engine.load(vllm.first).way == "wake"
    assert vllm.ask(QUESTIONS[0]) == before
    back = vllm.engine.load(pruned)
    assert back.way == "wake"
    assert vllm.ask(QUESTIONS[0], pruned) == there


def test_a_shape_gives_way_when_memory_is_short_and_the_others_go_on(vllm: Any, fine_tune: Path) -> None:
    from orchestrator.experts.demo import PRUNED, locate

    engine = vllm.engine
    pruned = Expert("pruned", "print-pruned", "pruned", weights=Weights(locate(PRUNED)), context=512)
    before = vllm.ask(QUESTIONS[0])
    engine.load(pruned)
    assert list(engine._shapes) == ["smollm2", "pruned"]
    engine.load(vllm.first)
    options = engine.options
    engine.options = replace(options, memory_gib=2.1 * engine._shapes["smollm2"].bytes / 2**30)
    try:
        # A third shape (in name only) needs the room of the one that was not used for longest.
        engine.load(replace(tuned(fine_tune), shape="third"))
        assert list(engine._shapes) == ["smollm2", "third"]
    finally:
        engine.options = options
    assert engine.load(vllm.first).way == "wake"
    assert vllm.ask(QUESTIONS[0]) == before


def test_close_is_idempotent_and_final(fine_tune: Path, vllm_installed: None) -> None:
    from orchestrator.inference.engines.vllm import VLLMEngine

    engine = VLLMEngine()
    engine.close()
    engine.close()
    assert engine.step() == []
    with pytest.raises(RuntimeError, match="closed"):
        engine.load(tuned(fine_tune))


def test_a_context_that_was_set_is_not_started_over_for_a_longer_one(vllm: Any) -> None:
    longer = replace(vllm.second, context=100_000)
    assert vllm.engine.load(longer).way == "in_place"
    assert vllm.ask(QUESTIONS[0], longer)


def test_seeded_samples_come_from_prompts_that_together_pass_one_step(vllm: Any) -> None:
    """More prompt tokens at once than a step takes: none may be split, its generator could not be rewound."""
    story = "The river ran past the old stone mill. " * 30
    wanted = {"temperature": 0.7, "max_tokens": 4}
    requests = [vllm.request(f"{story}What comes next, number {number}?", **wanted) for number in range(8)]
    texts = ["".join(delta.text for delta in deltas) for deltas in vllm.run(*requests).values()]
    assert len(texts) == 8
    assert all(texts)
