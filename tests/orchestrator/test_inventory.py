"""What hardware a machine has."""

from __future__ import annotations

from orchestrator.inventory import Card, _listed


def test_a_card_is_read_from_the_tools_table() -> None:
    assert _listed("NVIDIA A100-SXM4-40GB, 8.0") == Card("NVIDIA A100-SXM4-40GB", (8, 0))
    assert _listed("No devices were found") is None
