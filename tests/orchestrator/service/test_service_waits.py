"""What the service promises about waiting, on a virtual clock."""

from __future__ import annotations

import pytest

from benchmarks import service_waits as simulation


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("load", [0, 1, 2])
def test_200_clients_of_six_experts_wait_no_longer_than_promised(load: int, seed: int) -> None:
    mean, swap = simulation.LOADS[load]
    ours, longest = simulation.closed("collegium", mean, swap, seed)
    other, _ = simulation.closed("lru", mean, swap, seed)
    assert ours.requests == other.requests == 2000
    assert max(ours.waits) <= simulation.promised(longest, swap)
    assert 3 * ours.swaps <= other.swaps
    assert 2 * sum(ours.waits) <= sum(other.waits)
