"""What the whole suite shares: no hub, one Ray cluster, and the folder whose modules Ray's workers can import."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# The same examples at every run: what a change broke, and nothing else, makes it fail. `make soak` looks further.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("soak", max_examples=2000, deadline=None)
settings.load_profile("same")

SCRIPTS = Path(__file__).parent / "scripts"

_python_path = os.pathsep.join(filter(None, [str(SCRIPTS), os.environ.get("PYTHONPATH")]))
# Ray hands its processes what is set when it starts them.
os.environ.update({"HF_HUB_OFFLINE": "1", "RAY_worker_niceness": "0", "PYTHONPATH": _python_path})
sys.path.insert(0, str(SCRIPTS))


FIRST = (
    "orchestrator/inference/engines/test_swapping.py",
    "test_examples.py",
    "orchestrator/inference/engines/test_conformance.py",
    "orchestrator/inference/engines/test_agreement.py",
    "orchestrator/inference/engines/test_transformers.py",
    "orchestrator/inference/engines/test_vllm.py",
    "orchestrator/inference/engines/test_live_weights.py",
    "orchestrator/evaluation/methods/test_keywords.py",
    "orchestrator/pipelines/test_glue.py",
    "orchestrator/inference/schedule/test_langchain_vllm.py",
    "orchestrator/inference/schedule/test_host.py",
    "distill/test_train.py",
    "merging/test_mixture.py",
)
"""The files that take longest. A process of `make test` that began one last would work alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; the others stay in their order."""
    places = {Path(__file__).parent / name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[Any]:
    """A `ray.cluster_utils.Cluster` with one node of two CPUs, and this process connected to it. A test that adds
    nodes removes them."""
    import ray
    from ray.cluster_utils import Cluster

    # A lost node is noticed within a second or two instead of half a minute.
    quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 3}
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 2,
            "num_gpus": 0,
            "object_store_memory": 100 * 2**20,
            "include_dashboard": False,
            "_system_config": quick,
        },
    )
    ray.init(address=cluster.address, log_to_driver=False, logging_level="CRITICAL")
    yield cluster
    ray.shutdown()
    cluster.shutdown()
