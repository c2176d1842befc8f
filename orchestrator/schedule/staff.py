"""Who works where: from the configuration to posts for the pool, on a local or an existing Ray cluster."""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Iterable
from typing import Any

from orchestrator.config import WorkersConfig
from orchestrator.engines.engine import Engine, EngineOptions
from orchestrator.errors import ConfigError, SetupError
from orchestrator.experts.expert import Expert
from orchestrator.schedule.crew import Post
from orchestrator.schedule.host import Host, InProcess, OnRay

OBJECT_STORE = 100 * 2**20
"""Bytes of Ray's object store on a local cluster: only requests and replies pass through it."""


def engine_name(workers: WorkersConfig) -> str:
    """The engine that local experts run in. Raises `SetupError` if the one asked for is not installed."""
    if workers.engine == "auto":
        return "vllm" if importlib.util.find_spec("vllm") else "transformers"
    if workers.engine != "scripted" and not importlib.util.find_spec(workers.engine):
        raise SetupError(f"workers.engine: {workers.engine} is not installed; run `collegium setup`")
    return workers.engine


def kind_of(expert: Expert) -> str:
    """Local experts share the workers; every remote one has a worker of its own, which only waits."""
    return f"remote:{expert.name}" if expert.remote else "local"


def queue_of(expert: Expert, *, side_by_side: bool) -> str:
    """Experts that run side by side on one base wait in one queue."""
    if side_by_side and expert.weights and expert.weights.adapter:
        return f"beside {expert.shape} {expert.weights.model}"
    return expert.fingerprint


def posts(workers: WorkersConfig, experts: Iterable[Expert]) -> list[Post]:
    """A post for each worker and each remote expert. Joins or starts Ray if a local expert needs it."""
    experts = list(experts)
    remote = [
        Post(kind_of(expert), kind_of(expert), functools.partial(_in_process, kind_of(expert), remote_engine))
        for expert in experts
        if expert.remote
    ]
    local = [expert for expert in experts if not expert.remote]
    if not local:
        return remote
    make_engine = functools.partial(local_engine, engine_name(workers), options(workers))
    names = [f"worker-{number}" for number in range(workers.count)]
    if workers.in_process:
        return remote + [Post(name, "local", functools.partial(_in_process, name, make_engine)) for name in names]
    cpus, gpus = join_cluster(workers)
    files = {expert.name: tuple(str(path) for path in expert.files) for expert in local}
    share: dict[str, Any] = {"cpus": cpus, "gpus": gpus, "resources": workers.resources, "files": files}
    return remote + [Post(name, "local", functools.partial(OnRay, name, make_engine, **share)) for name in names]


def options(workers: WorkersConfig) -> EngineOptions:
    """The engine's options that the configuration sets; the engine knows the rest."""
    given = {"batch": workers.batch, "kv_gib": workers.kv_gib}
    return EngineOptions(
        tensor_parallel=workers.tensor_parallel, **{key: value for key, value in given.items() if value is not None}
    )


def join_cluster(workers: WorkersConfig) -> tuple[float, float]:
    """Connect to Ray; (CPUs, GPUs) of one worker. Raises `ConfigError` if the workers do not fit, by the numbers."""
    # Read when Ray starts its processes; at nice 15 the engine would yield to everything.
    os.environ.setdefault("RAY_worker_niceness", "0")
    import ray

    if not ray.is_initialized():
        common: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
        if workers.address:
            ray.init(address=workers.address, **common)
        else:
            ray.init(object_store_memory=OBJECT_STORE, include_dashboard=False, **common)
    have = ray.cluster_resources()
    cpus = workers.cpus or max(1.0, have.get("CPU", 1.0) // workers.count)
    gpus = workers.gpus if workers.gpus is not None else float(min(workers.tensor_parallel, have.get("GPU", 0.0)))
    needs = {"CPU": cpus, "GPU": gpus, **workers.resources}
    for resource, amount in needs.items():
        if amount * workers.count > have.get(resource, 0.0) + 1e-9:
            raise ConfigError(
                f"workers: {workers.count} with {amount:g} {resource} each need {amount * workers.count:g}; "
                f"the Ray cluster has {have.get(resource, 0.0):g}"
            )
    return cpus, gpus


def local_engine(name: str, options: EngineOptions) -> Engine:
    """Make the engine, in the process that calls."""
    if name == "vllm":
        from orchestrator.engines.vllm import VLLMEngine

        return VLLMEngine(options)
    if name == "transformers":
        from orchestrator.engines.transformers import TransformersEngine

        return TransformersEngine(options)
    from orchestrator.engines.scripted import ScriptedEngine

    return ScriptedEngine()


def remote_engine() -> Engine:
    from orchestrator.engines.remote import RemoteEngine

    return RemoteEngine()


def _in_process(name: str, make_engine: Any) -> Host:
    return InProcess(name, make_engine)
