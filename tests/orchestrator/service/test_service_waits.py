"""What the service promises about waiting, on a virtual clock."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def simulation() -> Any:
    path = Path(__file__).parents[3] / "benchmarks" / "service_waits.py"
    spec = importlib.util.spec_from_file_location("service_waits", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("load", [0, 1, 2])
def test_200_clients_of_six_experts_wait_no_longer_than_promised(simulation: Any, load: int, seed: int) -> None:
    mean, swap = simulation.LOADS[load]
    ours, longest = simulation.closed("collegium", mean, swap, seed)
    other, _ = simulation.closed("lru", mean, swap, seed)
    assert ours.requests == other.requests == 2000
    assert max(ours.waits) <= simulation.promised(longest, swap)
    assert 3 * ours.swaps <= other.swaps
    assert 2 * sum(ours.waits) <= sum(other.waits)
