"""Workers against the nodes of a Ray cluster, by the numbers."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from orchestrator.config import WorkersConfig
from orchestrator.errors import ConfigError, SetupError
from orchestrator.inference.schedule.ray_cluster import join_cluster, place

LAPTOP = {"CPU": 2.0, "memory": 1e9}
GPU_NODE = {"CPU": 16.0, "GPU": 4.0}


def placed(nodes: list[dict[str, float]], **workers: Any) -> dict[str, float]:
    return place(WorkersConfig(**workers), nodes)


def test_without_gpus_workers_share_the_cpus_of_a_node() -> None:
    assert placed([LAPTOP]) == {"CPU": 2, "GPU": 0}
    assert placed([LAPTOP], count=2) == {"CPU": 1, "GPU": 0}


def test_no_worker_takes_more_cpus_than_one_node_has() -> None:
    assert placed([{"CPU": 8.0}] * 3, count=2)["CPU"] == 8
    assert placed([{"CPU": 8.0}] * 3, count=6)["CPU"] == 4
    assert placed([{"CPU": 8.0}] * 3, count=7)["CPU"] == 2  # three a node need 2 each; 3 would do for 6


def test_with_gpus_each_worker_takes_one_and_its_share_of_the_cpus_beside_them() -> None:
    assert placed([LAPTOP, GPU_NODE], count=4) == {"CPU": 4, "GPU": 1}


def test_fractions_of_a_gpu_pack() -> None:
    assert placed([GPU_NODE], count=8, gpus=0.5, cpus=1)["GPU"] == 0.5
    assert placed([{"CPU": 4.0, "GPU": 1.0}], count=3, gpus=1 / 3, cpus=1)["GPU"] == 1 / 3
    with pytest.raises(ConfigError, match="room for 8"):
        placed([GPU_NODE], count=9, gpus=0.5, cpus=1)


def test_a_split_model_takes_that_many_gpus_of_one_node() -> None:
    assert placed([GPU_NODE], count=2, tensor_parallel=2)["GPU"] == 2
    with pytest.raises(ConfigError, match="room for 1"):
        placed([GPU_NODE], count=2, tensor_parallel=4, cpus=1)
    with pytest.raises(ConfigError, match="room for 0"):  # two nodes with one each are not a node with two
        placed([{"CPU": 4.0, "GPU": 1.0}] * 2, tensor_parallel=2)


def test_a_split_model_without_enough_gpus_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"tensor_parallel: 2 .* 0 on a node"):
        placed([LAPTOP], tensor_parallel=2)
    with pytest.raises(ConfigError, match=r"tensor_parallel: 2 .* workers.gpus is 1"):
        placed([GPU_NODE], tensor_parallel=2, gpus=1)


def test_more_than_one_gpu_is_a_whole_number() -> None:
    with pytest.raises(ConfigError, match="whole GPUs only"):
        placed([GPU_NODE], gpus=1.5)


def test_too_many_workers_are_refused_with_the_numbers() -> None:
    with pytest.raises(ConfigError) as refused:
        placed([LAPTOP], count=3)
    assert str(refused.value) == (
        "workers.count: 3 workers with 1 CPU each; the Ray cluster has room for 2: a node with 2 CPU"
    )


def test_further_resources_choose_the_nodes() -> None:
    big = {"CPU": 8.0, "big": 1.0}
    assert placed([LAPTOP, big], resources={"big": 1}) == {"CPU": 8, "GPU": 0, "big": 1}
    with pytest.raises(ConfigError, match="0 big"):
        placed([LAPTOP], resources={"big": 1})


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (None, r"Ray did not start \(Failed to connect to GCS.*workers.in_process=true"),
        ("auto", r"'auto' does not answer"),
    ],
)
def test_a_ray_that_does_not_start_is_said_on_one_line_with_a_remedy(
    address: str | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Failed to connect to GCS. Please check if the GCS server\n is running")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", fail)
    with pytest.raises(SetupError, match=words) as refused:
        join_cluster(WorkersConfig(address=address), {})
    assert "\n" not in str(refused.value)


def test_a_cluster_where_nothing_listens_is_refused_before_ray_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    tried: list[object] = []
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **options: tried.append(options))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        with pytest.raises(ConfigError, match=r"workers.address: no Ray cluster at .*refused; is it"):
            join_cluster(WorkersConfig(address=address), {})
    assert not tried


def test_sigterm_is_handled_as_before_whoever_took_it_over_meanwhile() -> None:
    import ctypes
    import os
    import signal
    import threading

    from orchestrator.inference.schedule.ray_cluster import own_signals

    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))

    def taken_over() -> None:
        with own_signals():
            ctypes.CDLL(None).signal(signal.SIGTERM, ctypes.c_void_p(1))  # ignored, as a library in C++ would

    try:
        thread = threading.Thread(target=taken_over)
        thread.start()
        thread.join()
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard == [signal.SIGTERM]
        with own_signals():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as a library does on the main thread
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard == [signal.SIGTERM] * 2
    finally:
        signal.signal(signal.SIGTERM, before)
