"""Where workers run: from the configuration to worker specifications, on a local or an existing Ray cluster."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Collection, Iterable, Sequence

from orchestrator.config import ENGINES, WorkersConfig
from orchestrator.errors import ConfigError, SetupError
from orchestrator.extensions import extension
from orchestrator.inference.engines.engine import Engine, EngineOptions
from orchestrator.inference.expert import Expert
from orchestrator.inference.schedule.host import Host, InProcess, OnRay
from orchestrator.inference.schedule.ray_cluster import join_cluster
from orchestrator.inference.schedule.supervisor import RetryLimits, WorkerSpec
from orchestrator.inference.schedule.worker import MakeEngine

PACKAGES = {"vllm": ("vllm", "torch", "transformers"), "transformers": ("torch", "transformers", "accelerate")}
"""What each engine imports on a worker."""


def engine_name(workers: WorkersConfig) -> str:
    """The name of the engine that local experts run in."""
    if workers.engine == "auto":
        return "vllm" if importlib.util.find_spec("vllm") else "transformers"
    return workers.engine


def check_engine(name: str) -> None:
    """Raises `SetupError` that says what to install, where the engine's packages are missing, and `ConfigError` for an
    engine that does not exist. Imports none of them."""
    if name not in ENGINES:
        if not callable(_own_engine(name)):
            known = ", ".join(ENGINES)
            raise ConfigError(f"workers.engine: no engine {name!r}; there are {known}, and those of installed packages")
        return
    missing = [package for package in PACKAGES.get(name, ()) if not importlib.util.find_spec(package)]
    if missing:
        raise SetupError(
            f"the engine {name} needs packages that are not installed ({', '.join(missing)}): run `collegium setup`, "
            "or pip install 'collegium[cpu]' for the transformers engine"
        )


def _own_engine(name: str) -> Callable[[EngineOptions], Engine] | None:
    found: Callable[[EngineOptions], Engine] | None = extension("collegium.engines", name, "workers.engine")
    return found


def kind_of(expert: Expert, pinned: Collection[str] = ()) -> str:
    """Local experts share the workers, but for pinned ones; every remote one has a worker of its own, which only
    waits."""
    if expert.remote:
        return f"remote:{expert.name}"
    return f"pinned:{expert.name}" if expert.name in pinned else "local"


def queue_of(expert: Expert, *, side_by_side: bool, pinned: Collection[str] = ()) -> str:
    """Experts that run side by side on one base wait in one queue."""
    if side_by_side and expert.weights and expert.weights.adapter and expert.name not in pinned:
        return f"beside {expert.shape} {expert.weights.model}"
    return expert.fingerprint


def worker_specs(workers: WorkersConfig, experts: Iterable[Expert]) -> list[WorkerSpec]:
    """One specification per worker and per remote expert. Joins or starts Ray if a local expert needs it.

    Raises `ConfigError` if the workers do not fit, `ExpertError` if an expert's file is missing on a node."""
    experts = list(experts)
    remote = [
        WorkerSpec(kind_of(expert), kind_of(expert), functools.partial(_in_process, kind_of(expert), remote_engine))
        for expert in experts
        if expert.remote
    ]
    local = [expert for expert in experts if not expert.remote]
    if not local:
        return remote
    check_engine(engine_name(workers))
    make_engine = functools.partial(local_engine, engine_name(workers), options(workers))
    names = [f"worker-{number}" for number in range(workers.count)]
    kinds = _kinds(workers, local)
    if workers.in_process:
        make = functools.partial(_in_process, make_engine=make_engine)
        return remote + [
            WorkerSpec(name, kind, functools.partial(make, name)) for name, kind in zip(names, kinds, strict=True)
        ]
    files = {expert.name: tuple(str(path) for path in expert.files) for expert in local}
    on_ray = functools.partial(OnRay, make_engine=make_engine, needs=join_cluster(workers, files), files=files)
    return remote + [
        WorkerSpec(name, kind, functools.partial(on_ray, name)) for name, kind in zip(names, kinds, strict=True)
    ]


def _kinds(workers: WorkersConfig, local: Sequence[Expert]) -> list[str]:
    """Each worker's kind: first those of the pinned experts, then those that the others share."""
    names = {expert.name for expert in local}
    for name in workers.pin:
        if name not in names:
            raise ConfigError(f"workers.pin: {name!r} is no expert of the zoo that runs on a worker")
    pinned = list(dict.fromkeys(workers.pin))
    if workers.count < len(pinned) + (len(pinned) < len(names)):
        raise ConfigError(
            f"workers.pin: {len(pinned)} pinned experts leave no worker of {workers.count} for the others"
        )
    return [f"pinned:{name}" for name in pinned] + ["local"] * (workers.count - len(pinned))


def options(workers: WorkersConfig) -> EngineOptions:
    """The engine's options that the configuration sets; the engine knows the rest."""
    batch = workers.batch or EngineOptions().batch
    return EngineOptions(
        batch=batch,
        kv_gib=workers.kv_gib,
        tensor_parallel=workers.tensor_parallel,
        compile=workers.compile,
    )


def retry_limits(workers: WorkersConfig) -> RetryLimits:
    """The retry limits that the configuration sets; `RetryLimits` has the defaults."""
    default = RetryLimits()
    max_crashes = workers.max_crashes or default.max_crashes
    return RetryLimits(max(default.max_starts, max_crashes), max_crashes, workers.retry_seconds)


def local_engine(name: str, options: EngineOptions) -> Engine:
    """Make the engine, in the process that calls."""
    if name == "vllm":
        from orchestrator.inference.engines.vllm import VLLMEngine

        return VLLMEngine(options)
    if name == "transformers":
        from orchestrator.inference.engines.transformers import TransformersEngine

        return TransformersEngine(options)
    if name == "scripted":
        from orchestrator.inference.engines.scripted import ScriptedEngine

        return ScriptedEngine()
    make = _own_engine(name)
    if make is None:
        raise ConfigError(f"workers.engine: no engine {name!r} on this node")
    return make(options)


def remote_engine() -> Engine:
    """The engine of remote experts."""
    from orchestrator.inference.engines.remote import RemoteEngine

    return RemoteEngine()


def _in_process(name: str, make_engine: MakeEngine) -> Host:
    return InProcess(name, make_engine)
