"""What a live vLLM model is asked: every prompt carries its expert's fingerprint as cache salt."""

from __future__ import annotations

import inspect
import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.errors import ExpertError, ExpertFailed
from orchestrator.inference.engines import compared_types, vllm, vllm_shape
from orchestrator.inference.engines.agreement import COMPARED_TOKENS, Agreement
from orchestrator.inference.engines.compared_types import recall
from orchestrator.inference.engines.engine import EngineOptions
from orchestrator.inference.engines.prompts import Prompts
from orchestrator.inference.engines.reference import Reference
from orchestrator.inference.engines.sources import Sources
from orchestrator.inference.engines.vllm import VLLMEngine
from orchestrator.inference.engines.vllm_live import WorkerExtension
from orchestrator.inference.engines.vllm_shape import LiveModel
from orchestrator.inference.engines.vllm_start import _takes_adapters, check_fit
from orchestrator.inference.expert import Expert, Weights
from orchestrator.inference.request import Request, Sampling
from tests.orchestrator.inference.engines.conftest import make_adapter
from tests.orchestrator.inference.engines.cuda_rules import GIB, Card, CudaEngine, Tiny

pytest.importorskip("vllm")
# What libraries say while vLLM is imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def test_a_prompt_is_salted_with_its_experts_fingerprint_and_a_canary_with_its_own_name() -> None:
    asked: list[dict[str, Any]] = []
    live = LiveModel.__new__(LiveModel)
    live._loras = {}
    live._llm = SimpleNamespace(
        add_request=lambda key, prompt, *_, **__: asked.append(prompt),
        vllm_config=SimpleNamespace(lora_config=None, model_config=SimpleNamespace(get_vocab_size=lambda: 10)),
    )
    experts = [Expert(name, f"print of {name}", "shape") for name in ("one", "two")]
    for one in experts:
        live.add(Request(f"key of {one.name}", one.name, (("user", "hi"),), Sampling()), one, [1, 2, 3], 8, (0,), {})
    live.add_canary("canary", [1, 2, 3], 4, 8, experts[0])
    assert [prompt["cache_salt"] for prompt in asked] == [*(one.fingerprint for one in experts), "canary"]
    assert len({prompt["cache_salt"] for prompt in asked}) == 3


CONTEXT = 128


def checkpoint(folder: Path, seed: int, width: int = 16) -> Path:
    """Two matrices, a tokenizer whose ids are bytes of text."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    generator = torch.Generator().manual_seed(seed)
    names = ("model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight")
    shapes = ((256, width), (width, width))
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in zip(names, shapes, strict=True)}
    save_file(tensors, folder / "model.safetensors")
    config = {"model_type": "llama", "hidden_size": width, "vocab_size": 256, "max_position_embeddings": CONTEXT}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


class Bytes:
    eos_token_id = None

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": list(text.encode())[:32]}


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    made = Card()
    monkeypatch.setattr(vllm_shape, "start", made.start)
    for name, value in {"on_gpu": lambda: True, "device_bytes": lambda: made.total}.items():
        monkeypatch.setattr(vllm, name, value)
    monkeypatch.setattr(Prompts, "check", lambda *_: None)
    monkeypatch.setattr(Prompts, "tokenizer", lambda *_: Bytes())
    monkeypatch.setattr(Sources, "mapping_hash", lambda *_: "bytes")
    return made


def engine(**options: Any) -> VLLMEngine:
    return VLLMEngine(EngineOptions(canary_tokens=4, **options))


def expert(folder: Path) -> Expert:
    shape = str(json.loads((folder / "config.json").read_text())["hidden_size"])
    return Expert(folder.name, folder.name, shape, weights=Weights(folder), context=CONTEXT)


def truth(folder: Path) -> list[int]:
    """What the emulated model says with the file's own weights."""
    from safetensors.torch import load_file

    from orchestrator.inference.engines.canary import PROMPT

    model, said = Tiny(load_file(folder / "model.safetensors")), list(PROMPT.encode()[:32])
    for _ in range(4):
        said.append(int(model(said[-1]).argmax()))
    return said[-4:]


def says(one: VLLMEngine) -> list[int]:
    return [step[0][0] for step in one.canary()]


def test_on_a_card_each_shape_has_a_process_and_sleeps_without_its_weights(card: Card, tmp_path: Path) -> None:
    folders = [checkpoint(tmp_path / f"m{n}", n, width) for n, width in enumerate((16, 16, 32, 32, 48))]
    made, chooser, ways = engine(), random.Random(3), set()
    for folder in [*folders, *(chooser.choice(folders) for _ in range(60))]:
        ways.add(made.load(expert(folder)).way)
        assert says(made) == truth(folder), folder.name
        assert [one.asleep for one in card.engines].count(0) == 1
        assert {one.asleep for one in card.engines} <= {0, 2}
    assert ways == {"start", "in_place", "wake", "resident"}
    assert sorted(card.started) == ["m0", "m2", "m4"]
    assert all(one.apart for one in card.engines)
    made.close()
    assert not card.engines


def test_on_a_card_a_type_that_nobody_has_compared_is_compared_in_a_process_that_ends(
    card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [checkpoint(tmp_path / f"m{n}", n, width) for n, width in enumerate((16, 32))]
    plain = engine(compare=False)
    said = []
    for folder in folders:
        plain.load(expert(folder))
        said.append(plain._canary(plain._shapes[expert(folder).shape], expert(folder), COMPARED_TOKENS))
    plain.close()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(compared_types, "TYPES", frozenset())
    monkeypatch.setattr(vllm, "references", lambda some, _: [Reference(said[int(some[0].name[1:])], said[0])])
    made = engine()
    made.load(expert(folders[0]))
    assert recall(expert(folders[0]), json.loads((folders[0] / "config.json").read_text())) == Agreement(exact=True)
    assert [one.asleep for one in card.engines] == [0]
    with pytest.raises(ExpertFailed, match="in float32, where nothing is rounded"):  # it is not what is said in float32
        made.load(expert(folders[1]))
    assert [one.asleep for one in card.engines] == [2]
    made.load(expert(folders[0]))
    assert says(made) == truth(folders[0])
    made.close()


def test_sleepers_leave_room_for_whoever_is_awake(card: Card, tmp_path: Path) -> None:
    """With 80 GiB and a share of 0.85 five may sleep: a sixth shape would fail to start, or a sleeper to wake."""
    folders = [checkpoint(tmp_path / f"m{n}", n, 16 + 8 * n) for n in range(9)]
    made = engine()
    for folder in (*folders, *folders):
        made.load(expert(folder))
        assert says(made) == truth(folder)
        assert len(card.engines) <= 7
    made.close()


def test_weights_that_sleep_took_and_nobody_wrote_again_are_noticed(
    card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [checkpoint(tmp_path / f"m{n}", n, width) for n, width in enumerate((16, 32))]
    made = engine()
    for folder in folders:
        made.load(expert(folder))
    monkeypatch.setattr(LiveModel, "distrust", lambda self: None)
    made.load(expert(folders[0]))
    with pytest.raises(ExpertFailed, match="the live weights are not its own"):
        made.load(expert(folders[1]))


def test_two_engines_that_sleep_do_not_start_in_one_process(card: Card, tmp_path: Path) -> None:
    """The rule that a process for each shape is there for."""
    folders = [checkpoint(tmp_path / f"m{n}", n) for n in range(2)]
    options = EngineOptions()
    card.start(expert(folders[0]), folders[0], CONTEXT, options, apart=False).sleep(2)
    with pytest.raises(AssertionError, match="one instance per process"):
        card.start(expert(folders[1]), folders[1], CONTEXT, options, apart=False)


def test_what_does_not_fit_is_refused_with_the_sums_before_it_starts() -> None:
    large, options = Expert("large", "p", "s"), EngineOptions(kv_gib=8)
    with pytest.raises(ExpertError, match=r"'large' does not fit: 140\.0 GiB .* 68\.0 of its 80\.0 GiB .* at least 3"):
        check_fit(large, 140 * GIB, options, 80 * GIB)
    check_fit(large, 140 * GIB, EngineOptions(tensor_parallel=3, kv_gib=8), 80 * GIB)
    with pytest.raises(ExpertError, match=r"lower workers\.kv_gib"):
        check_fit(large, GIB, EngineOptions(kv_gib=80), 80 * GIB)


def test_the_emulated_engine_takes_what_vllms_takes() -> None:
    from vllm.v1.engine.llm_engine import LLMEngine
    from vllm.v1.worker.gpu_worker import Worker

    for name in ("collective_rpc", "sleep", "wake_up", "add_request", "abort_request", "step", "get_tokenizer"):
        ours, theirs = (inspect.signature(getattr(kind, name)).parameters for kind in (CudaEngine, LLMEngine))
        assert list(ours) == list(theirs)[: len(ours)], name
        assert [one.default for one in ours.values()] == [one.default for one in theirs.values()][: len(ours)], name
    assert "level" in inspect.signature(Worker.sleep).parameters
    assert not {name for name in dir(WorkerExtension) if name.startswith("collegium")} & set(dir(Worker))


def test_an_adapter_wider_than_vllms_kernels_is_added_on_the_way_in(model_folder: Path, tmp_path: Path) -> None:
    narrow = make_adapter(tmp_path / "narrow", model_folder, seed=1)  # of rank 4
    adapted = Expert("narrow", "narrow", "s", weights=Weights(model_folder, narrow))
    blend = Sources().blend(adapted)
    for limit, held in ((4, True), (3, False)):
        live = LiveModel.__new__(LiveModel)
        lora = SimpleNamespace(max_lora_rank=limit)
        live._llm = SimpleNamespace(vllm_config=SimpleNamespace(lora_config=lora))
        assert live.holds(adapted, blend) is held
        live._resident = None
        live.refusal, live.moved = None, 0
        written: list[Any] = []
        live._call = lambda method, source, written=written: (written.append(source), ([], 0))[1]  # type: ignore[method-assign, misc]
        live._loras, live.elsewhere = {}, False
        live.become(adapted, blend)
        assert bool(live._loras) is held
        # Beside its base the base is written, else what the adapter makes of it.
        assert [bool(one.low_rank) for one in written] == [not held]


def test_adapters_run_side_by_side_only_where_vllm_has_them_for_the_architecture() -> None:
    from vllm.model_executor.models.interfaces import supports_lora
    from vllm.model_executor.models.llama import LlamaForCausalLM
    from vllm.model_executor.models.mamba import MambaForCausalLM

    for kind in (LlamaForCausalLM, MambaForCausalLM):
        registry = SimpleNamespace(resolve_model_cls=lambda names, config, kind=kind: (kind, names[0]))
        config = SimpleNamespace(registry=registry, architectures=["X"])
        made = SimpleNamespace(create_model_config=lambda config=config: config)
        assert _takes_adapters(made) == supports_lora(kind)
    assert supports_lora(LlamaForCausalLM)
