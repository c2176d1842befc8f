"""Where workers run: from the configuration to worker specifications, on a local or an existing Ray cluster."""

from __future__ import annotations

import ast
import difflib
import functools
import importlib.util
import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from orchestrator.config import ENGINES, WorkersConfig
from orchestrator.errors import ConfigError, SetupError
from orchestrator.extensions import extension
from orchestrator.inference.engines.engine import Engine, EngineOptions
from orchestrator.inference.expert import Expert
from orchestrator.inference.schedule.groups import groups_of, kind_of, worker_kinds
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


def queue_of(expert: Expert, workers: WorkersConfig) -> str:
    """The queue an expert waits in: one for all that run side by side on one base, else its own."""
    weights = expert.weights
    if workers.side_by_side and weights and weights.adapter and expert.name not in workers.pin:
        return f"beside {kind_of(expert, workers)} {expert.shape} {weights.model}"
    return expert.fingerprint


def worker_specs(workers: WorkersConfig, experts: Iterable[Expert]) -> list[WorkerSpec]:
    """One specification per worker and per remote expert. Joins or starts Ray if a local expert needs it.

    Raises `ConfigError` if the workers do not fit, `ExpertError` if an expert's file is missing on a node."""
    experts = list(experts)
    specs = []
    for expert in experts:
        if expert.remote:
            kind = kind_of(expert, workers)
            specs.append(WorkerSpec(kind, kind, functools.partial(_in_process, kind, remote_engine)))
    local = [expert for expert in experts if not expert.remote]
    if not local:
        return specs
    for one in groups_of(workers):
        check_engine(engine_name(one))
    kinds = worker_kinds(workers, local)
    engines = [functools.partial(local_engine, engine_name(one), options(one)) for one in groups_of(workers)]
    files = {expert.name: tuple(str(path) for path in expert.files) for expert in local}
    needs = [] if workers.in_process else join_cluster(workers, files)
    number = itertools.count()
    for group, make_engine in enumerate(engines):
        make: Callable[..., Host]
        if workers.in_process:
            make = functools.partial(_in_process, make_engine=make_engine)
        else:
            make = functools.partial(OnRay, make_engine=make_engine, needs=needs[group], files=files)
        for kind in kinds[group]:
            name = f"worker-{next(number)}"
            specs.append(WorkerSpec(name, kind, functools.partial(make, name)))
    return specs


def options(workers: WorkersConfig) -> EngineOptions:
    """The engine's options that the configuration sets; the engine knows the rest. Raises `ConfigError`."""
    wanted = dict(workers.vllm)
    _check_arguments(wanted)
    return EngineOptions(
        batch=workers.batch or EngineOptions().batch,
        kv_gib=workers.kv_gib,
        host_gib=workers.host_gib,
        tensor_parallel=workers.tensor_parallel,
        compile=workers.compile or wanted.get("enforce_eager") is False,
        side_by_side=bool(wanted.pop("enable_lora", workers.side_by_side)),
        vllm=tuple(sorted(wanted.items())),
    )


OURS = {
    "model": "the experts",
    "tokenizer": "the experts",
    "revision": "experts.NAME.revision",
    "dtype": "experts.NAME.dtype",
    "quantization": "experts.NAME.quantization",
    "trust_remote_code": "experts.NAME.trust_remote_code",
    "max_model_len": "experts.NAME.context",
    "tensor_parallel_size": "workers.tensor_parallel",
    "max_num_seqs": "workers.batch",
    "worker_extension_cls": "Collegium itself",
    "enable_sleep_mode": "Collegium itself",
    "enable_prefix_caching": "Collegium itself",
    "generation_config": "experts.NAME.sampling",
}
"""Arguments of vLLM's engine that are set elsewhere, and where."""


def _check_arguments(wanted: dict[str, Any]) -> None:
    """Raises `ConfigError` naming what vLLM's engine does not take, with the nearest name that it does."""
    known = engine_arguments() if wanted else frozenset()
    for name in wanted:
        if name in OURS:
            raise ConfigError(f"workers.vllm.{name}: set by {OURS[name]}")
        if known and name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.4)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"workers.vllm.{name}: vLLM's engine has no such argument{hint}")


@functools.cache
def engine_arguments() -> frozenset[str]:
    """The arguments of vLLM's engine, read from its source: importing it takes seconds. Empty where it is not
    installed."""
    spec = importlib.util.find_spec("vllm")
    for root in (spec.submodule_search_locations or []) if spec else []:
        tree = ast.parse(Path(root, "engine", "arg_utils.py").read_text("utf-8"))
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name == "EngineArgs":
                fields = [each.target for each in node.body if isinstance(each, ast.AnnAssign)]
                return frozenset(field.id for field in fields if isinstance(field, ast.Name))
    return frozenset()


def retry_limits(workers: WorkersConfig) -> RetryLimits:
    """The retry limits that the configuration sets; `RetryLimits` has the defaults."""
    default = RetryLimits()
    max_crashes = workers.max_crashes or default.max_crashes
    return RetryLimits(max(default.max_starts, max_crashes), max_crashes, workers.retry_seconds)


def local_engine(name: str, options: EngineOptions) -> Engine:
    """Make the engine, in the process that calls. Raises `ConfigError` for an engine that this node does not have."""
    if name == "vllm":
        from orchestrator.inference.engines.vllm import VLLMEngine

        return VLLMEngine(options)
    if name == "transformers":
        from orchestrator.inference.engines.transformers import TransformersEngine

        return TransformersEngine(options)
    if name == "scripted":
        from orchestrator.inference.engines.scripted import ScriptedEngine, ScriptedOptions

        return ScriptedEngine(ScriptedOptions(batch=min(options.batch, ScriptedOptions().batch)))
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
