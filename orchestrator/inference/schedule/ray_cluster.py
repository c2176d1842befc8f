"""The Ray cluster: join it or start a local one, and see, before anything starts, that the workers fit on its nodes
and find their experts' files there."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from orchestrator.config import WorkersConfig
from orchestrator.errors import CollegiumError, ConfigError, ExpertError, SetupError
from orchestrator.inference.schedule.groups import groups_of

OBJECT_STORE = 100 * 2**20
"""Bytes of Ray's object store on a local Ray cluster: only requests and replies pass through it."""

CONNECT_SECONDS = 10.0

Node = Mapping[str, Any]
"""As `ray.nodes()` tells it."""


def join_cluster(workers: WorkersConfig, files: Mapping[str, Sequence[str]]) -> list[dict[str, float]]:
    """Connect to Ray; the resources that each worker takes, by group.

    Raises `SetupError` where Ray does not start or answer, `ConfigError` if the workers do not fit on the nodes, by the
    numbers, and `ExpertError` if one of `files`
    (expert -> paths) is missing on a node where a worker may come to run. What others have in use is not counted:
    workers wait for it.
    """
    import ray

    with _ray_in_words(workers.address):
        if not ray.is_initialized():
            with own_signals():
                _connect(workers.address)
        nodes: list[Node] = [node for node in ray.nodes() if node["Alive"]]
    free = [dict(node["Resources"]) for node in nodes]
    needs = []
    for group in groups_of(workers):
        needs.append(place(group, free))
        _take(needs[-1], group.count, free)
    _look_for_files(files, [node for node in nodes if any(fitting(one, node["Resources"]) for one in needs)])
    return needs


@contextlib.contextmanager
def own_signals() -> Iterator[None]:
    """SIGTERM is handled afterwards as it was before: Ray takes it over, in Python and in C++, where it would print its
    stack. From any thread, which `signal.signal` alone cannot do."""
    known = signal.getsignal(signal.SIGTERM)
    handle = ctypes.CDLL(None).signal
    handle.argtypes, handle.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    before = handle(signal.SIGTERM, None)
    handle(signal.SIGTERM, before)
    try:
        yield
    finally:
        if known is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, known)
        handle(signal.SIGTERM, before)


def place(workers: WorkersConfig, nodes: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """What each worker takes, on nodes with these resources. Raises `ConfigError` if not all find a place."""
    max_gpus = max((node.get("GPU", 0.0) for node in nodes), default=0.0)
    split = workers.tensor_parallel
    gpus = workers.gpus if workers.gpus is not None else float(split) if max_gpus else 0.0
    if split > 1 and gpus < split:
        have = f"the Ray cluster has {max_gpus:g} on a node" if workers.gpus is None else f"workers.gpus is {gpus:g}"
        raise ConfigError(f"workers.tensor_parallel: {split} needs as many GPUs a worker; {have}")
    if gpus > 1 and gpus != int(gpus):
        raise ConfigError(f"workers.gpus: {gpus:g}: above one, whole GPUs only")
    needs = {"CPU": workers.cpus or 1.0, "GPU": gpus, **workers.resources}
    if workers.cpus is None:
        max_cpus = int(max((node.get("CPU", 0.0) for node in nodes), default=1.0))
        shares = (float(cpus) for cpus in range(max_cpus, 1, -1))
        needs["CPU"] = next((cpus for cpus in shares if _places({**needs, "CPU": cpus}, nodes) >= workers.count), 1.0)
    if (places := _places(needs, nodes)) < workers.count:
        each = ", ".join(f"{amount:g} {resource}" for resource, amount in needs.items() if amount)
        raise ConfigError(
            f"workers.count: {workers.count} workers with {each} each; the Ray cluster has room for {places}: "
            + "; ".join(_describe(node, needs) for node in nodes)
        )
    return needs


def _take(needs: Mapping[str, float], count: int, free: Sequence[dict[str, float]]) -> None:
    """Take what `count` workers need from the nodes, so that the next group sees what is left."""
    for node in free:
        placed = min(count, fitting(needs, node))
        count -= placed
        for what, amount in needs.items():
            node[what] = node.get(what, 0.0) - placed * amount


def _places(needs: Mapping[str, float], nodes: Sequence[Mapping[str, float]]) -> int:
    return sum(fitting(needs, node) for node in nodes)


def fitting(needs: Mapping[str, float], node: Mapping[str, float]) -> int:
    """How many workers with these needs fit on an empty node with these resources."""
    # Ray counts in ten-thousandths.
    return int(min((node.get(what, 0.0) + 1e-4) // amount for what, amount in needs.items() if amount))


def _describe(node: Mapping[str, float], needs: Mapping[str, float]) -> str:
    return "a node with " + ", ".join(f"{node.get(what, 0.0):g} {what}" for what, amount in needs.items() if amount)


@contextlib.contextmanager
def _ray_in_words(address: str | None) -> Iterator[None]:
    """What goes wrong while Ray starts, as one line with a remedy: its own errors are of every class."""
    try:
        yield
    except CollegiumError:
        raise
    except Exception as error:
        why = " ".join(str(error).split())[:200] or type(error).__name__
        if address:
            raise SetupError(
                f"the Ray cluster at {address!r} does not answer ({why}); see `ray status` there"
            ) from error
        raise SetupError(
            f"Ray did not start ({why}): other programs may keep this machine busy, or its memory or disk is full "
            "(`collegium doctor`); try again, or leave Ray out: --set workers.in_process=true"
        ) from error


def _connect(address: str | None) -> None:
    # Read when Ray starts its processes; at nice 15 the engine would yield to everything.
    os.environ.setdefault("RAY_worker_niceness", "0")
    import ray

    common: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    # Ray jobs find their own Ray cluster in the environment.
    if address := address or os.environ.get("RAY_ADDRESS"):
        try:
            _look_for_cluster(address)
            ray.init(address=address, **common)
        except OSError as error:
            why = error.strerror or error
            raise ConfigError(
                f"workers.address: no Ray cluster at {address!r}: {why}; is it `ray start`ed? One with a token "
                "wants RAY_AUTH_MODE=token here"
            ) from error
        return
    # Without "local" Ray would join whatever Ray cluster was last started on this machine.
    local = functools.partial(ray.init, "local", object_store_memory=OBJECT_STORE, include_dashboard=False, **common)
    if threading.current_thread() is threading.main_thread():
        local()
    else:
        _on_lasting_thread(local)


def _look_for_cluster(address: str) -> None:
    """Raises `OSError` where nothing listens at HOST:PORT. Ray itself would try for minutes, and print each try."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()


def _on_lasting_thread(start: Callable[[], object]) -> None:
    """Linux ends Ray's processes together with the thread that started them, and Ray then ends this process."""
    outcome: list[BaseException | None] = []
    started = threading.Event()

    def run() -> None:
        try:
            start()
            outcome.append(None)
        except BaseException as error:
            outcome.append(error)
        started.set()
        threading.Event().wait()

    threading.Thread(target=run, name="Ray's parent", daemon=True).start()
    started.wait()
    if outcome[0] is not None:
        raise outcome[0]


def missing_file(files: Mapping[str, Sequence[str]]) -> str | None:
    """What is missing of `files` (expert -> paths) on this node: expert, path and node in words; None: nothing."""
    for expert, paths in files.items():
        for path in paths:
            if not os.path.exists(path):
                return f"expert {expert!r}: {path} does not exist on node {_node()}"
    return None


def _node() -> str:
    import ray

    return f"{os.uname().nodename} ({ray.util.get_node_ip_address()}, {ray.get_runtime_context().get_node_id()[:8]})"


def _look_for_files(files: Mapping[str, Sequence[str]], nodes: Sequence[Node]) -> None:
    """Raises `ExpertError` that names the expert, the path and the node. Engines are not involved."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    checks = []
    for node in nodes:
        if node["NodeID"] == here:
            _refuse(missing_file(files))
        else:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            checks.append(ray.remote(missing_file).options(num_cpus=0, scheduling_strategy=there).remote(dict(files)))
    for missing in ray.get(checks):
        _refuse(missing)


def _refuse(missing: str | None) -> None:
    if missing:
        raise ExpertError(f"{missing}; no engine was started")
