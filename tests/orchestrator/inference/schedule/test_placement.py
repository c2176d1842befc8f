"""A Ray cluster of several nodes, with GPUs that are only numbers: placement, the loss of a node, missing files."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from replies import asked

from orchestrator.config import WorkersConfig
from orchestrator.errors import ConfigError, ExpertError, ExpertFailed
from orchestrator.inference.engines.engine import EngineOptions
from orchestrator.inference.engines.scripted import ScriptedEngine, ScriptedOptions
from orchestrator.inference.expert import Expert, Weights
from orchestrator.inference.schedule import host
from orchestrator.inference.schedule.groups import kind_of
from orchestrator.inference.schedule.ledger import Ledger
from orchestrator.inference.schedule.placement import engine_arguments, local_engine, options, worker_specs
from orchestrator.inference.schedule.pool import LocalPool


@pytest.fixture
def add_node(ray_cluster: Any) -> Iterator[Any]:
    """Adds nodes with two fake GPUs each; they go at the end of the test."""
    nodes = []

    def add(**resources: float) -> Any:
        node = ray_cluster.add_node(num_cpus=1, num_gpus=2, object_store_memory=80 * 2**20, resources=resources)
        nodes.append(node)
        return node

    yield add
    for node in nodes:
        if node in ray_cluster.worker_nodes:
            ray_cluster.remove_node(node, allow_graceful=False)


def workers(**settings: Any) -> WorkersConfig:
    return WorkersConfig(engine="scripted", **{"cpus": 0.1, **settings})


@pytest.fixture
def make_pool_by_configuration(tmp_path: Path, pools: list[LocalPool]) -> Any:
    def make(config: WorkersConfig, experts: list[Expert]) -> LocalPool:
        pools.append(
            LocalPool(
                worker_specs(config, experts),
                Ledger(tmp_path / "ledger.sqlite"),
                kind_of=functools.partial(kind_of, workers=config),
            )
        )
        return pools[-1]

    return make


@pytest.mark.soak  # half a minute, and at the mercy of how fast Ray starts processes
async def test_workers_share_gpus_and_outlive_the_node_that_they_were_on(
    add_node, ray_cluster, make_pool_by_configuration, play, tmp_path: Path
) -> None:
    first = add_node()
    who, log = play.expert("a", "replies:slow"), tmp_path / "log"
    pool = make_pool_by_configuration(workers(count=3, gpus=0.5), [who])
    calls = play.calls(pool, who, 10_000, log)
    done = 0
    while len({call.pid for call in asked(log)}) < 3:  # they start one after another, and come where it pays
        assert done < 9_000, "not all three workers came to share the work"
        await pool.ask(calls[done : done + 600])
        done += 600
    assert {call.node for call in asked(log)} == {first.node_id}

    second = add_node()
    answers = asyncio.create_task(pool.ask(calls[done : done + 400]))
    await asyncio.to_thread(play.until, lambda: len(asked(log)) > done + 50)
    ray_cluster.remove_node(first, allow_graceful=False)
    stored = set(play.stored(pool))
    before = len(asked(log))
    assert play.texts(await asyncio.wait_for(answers, 60)) == [f"a {number}" for number in range(done, done + 400)]
    later = asked(log)[before:]
    # Processes of a removed node may live on for a moment; whoever is asked last has moved.
    assert later[-1].node == second.node_id
    assert {call.node for call in later} <= {first.node_id, second.node_id}
    assert not stored & {call.prompt for call in later}
    assert max(Counter(call.prompt for call in asked(log)).values()) <= 2
    assert pool.ledger.count() == done + 400


async def test_when_no_node_is_left_for_a_worker_callers_hear_so(
    add_node, ray_cluster, make_pool_by_configuration, play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "LOOK", 0.2)
    monkeypatch.setattr(host, "LOOKS", 5)
    node = add_node(island=1)
    who, log = play.expert("a", "replies:slow"), tmp_path / "log"
    pool = make_pool_by_configuration(workers(resources={"island": 1}), [who])
    answers = asyncio.create_task(pool.ask(play.calls(pool, who, 500, log)))
    await asyncio.to_thread(play.until, lambda: len(asked(log)) > 10)
    ray_cluster.remove_node(node, allow_graceful=False)
    outcomes = await asyncio.wait_for(answers, 60)
    assert isinstance(outcomes[-1], ExpertFailed)
    assert "no node of the Ray cluster has" in str(outcomes[-1])


def test_more_workers_than_the_nodes_hold_are_refused_before_anything_starts(ray_cluster, play) -> None:
    with pytest.raises(ConfigError, match=r"workers.count: 3 workers with 1 CPU each; .* room for 2"):
        worker_specs(workers(count=3, cpus=1), [play.expert("a")])


def test_a_file_that_is_missing_on_one_node_is_named_before_any_engine_starts(
    add_node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "model").mkdir(parents=True)
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    node = add_node(island=1)  # its processes keep this working folder
    monkeypatch.chdir(tmp_path / "here")
    model = Path("/proc/self/cwd/model")  # so this exists here and not there
    who = Expert("a", "f", "s", weights=Weights(model), script="replies:noted")
    assert worker_specs(workers(gpus=0, resources={"node:__internal_head__": 0.01}), [who])
    with pytest.raises(ExpertError) as refused:
        worker_specs(workers(resources={"island": 1}), [who])
    assert f"expert 'a': {model} does not exist on node" in str(refused.value)
    assert node.node_id[:8] in str(refused.value)


SEEN: dict[str, EngineOptions] = {}


def large(options: EngineOptions) -> ScriptedEngine:
    SEEN["large"] = options
    return ScriptedEngine(script=lambda messages, seed: "from the large one")


def small(options: EngineOptions) -> ScriptedEngine:
    SEEN["small"] = options
    return ScriptedEngine(script=lambda messages, seed: "from a small one")


async def test_each_group_has_its_own_engine_and_settings(make_pool_by_configuration, play) -> None:
    """As a 70B over four GPUs beside small models: one list of groups in the configuration."""
    here = {"in_process": True}
    first = {"engine": f"{__name__}:small", "count": 2, "batch": 8, **here}
    second = {
        "engine": f"{__name__}:large",
        "tensor_parallel": 4,
        "experts": ["c"],
        "vllm": {"gpu_memory_utilization": 0.5, "enable_lora": True},
        **here,
    }
    config = WorkersConfig.model_validate({**first, "groups": [second]})
    members = [play.expert(name) for name in "abc"]
    pool = make_pool_by_configuration(config, members)
    replies = await pool.ask([play.call(pool, who, "hello") for who in members])
    assert play.texts(replies) == ["from a small one", "from a small one", "from the large one"]
    assert (SEEN["small"].batch, SEEN["small"].tensor_parallel, SEEN["small"].vllm) == (8, 1, ())
    assert (SEEN["large"].tensor_parallel, SEEN["large"].side_by_side) == (4, True)
    assert SEEN["large"].vllm == (("gpu_memory_utilization", 0.5),)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"gpu_memory_utilisation": 0.5}, "no such argument; did you mean 'gpu_memory_utilization'"),
        ({"kv_cache_dtyp": "fp8"}, "no such argument; did you mean 'kv_cache_dtype'"),
        ({"max_model_len": 9}, r"workers\.vllm\.max_model_len: set by experts\.NAME\.context"),
        ({"worker_extension_cls": "x"}, "set by Collegium itself"),
        ({"tensor_parallel_size": 2}, r"set by workers\.tensor_parallel"),
    ],
)
def test_an_argument_that_vllm_does_not_have_is_refused_with_the_nearest(
    vllm_fields: frozenset[str], wanted: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        options(workers(vllm=wanted))


def test_arguments_that_we_have_a_word_for_set_it_too(vllm_fields: frozenset[str]) -> None:
    found = options(workers(vllm={"enforce_eager": False, "enable_lora": True, "load_format": "auto"}))
    assert (found.compile, found.side_by_side) == (True, True)
    assert found.vllm == (("enforce_eager", False), ("load_format", "auto"))


@pytest.fixture
def vllm_fields() -> frozenset[str]:
    found = engine_arguments()
    if not found:
        pytest.skip("vLLM is not installed")
    return found


@pytest.mark.parametrize(("batch", "wanted"), [(None, ScriptedOptions().batch), (3, 3)])
def test_a_scripted_engine_keeps_to_the_configured_batch(batch: int | None, wanted: int) -> None:
    engine = local_engine("scripted", options(WorkersConfig(batch=batch)))
    assert isinstance(engine, ScriptedEngine)
    assert engine.options.batch == wanted
