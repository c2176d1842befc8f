"""What an adapter's configuration says, and adapters of other kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from merging.adapter import Adapter
from merging.checkpoint import Checkpoint, CheckpointError
from tests.scripts.small_safetensors import adapter, checkpoint, pair


def test_ranks_and_strengths_may_differ_by_module(tmp_path: Path) -> None:
    base = Checkpoint(checkpoint(tmp_path / "m"))
    patterns = {"rank_pattern": {"q_proj": 3}, "alpha_pattern": {"^layer.q_proj": 12}}
    found = Adapter(adapter(tmp_path / "a", pair(rank=3), **patterns), base)
    assert found.pairs["layer.q_proj.weight"].scale == 4.0
    with pytest.raises(CheckpointError, match="rank 2, its configuration says 3"):
        Adapter(adapter(tmp_path / "b", pair(rank=2), **patterns), base)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"peft_type": "IA3"}, "only LORA"),
        ({"layer_replication": [[0, 2], [1, 3]]}, "layer_replication is not supported"),
        ({"init_lora_weights": "pissa_niter_16"}, "changes the base's own weights"),
        ({"r": 0}, "r must be a positive number"),
        ({"lora_alpha": "8"}, "lora_alpha must be a positive number"),
        ({"rank_pattern": {"(a+)+$": 3}}, "too complex a pattern"),
    ],
)
def test_adapters_of_other_kinds_are_refused_by_key(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    base = Checkpoint(checkpoint(tmp_path / "m"))
    with pytest.raises(CheckpointError, match=message) as caught:
        Adapter(adapter(tmp_path / "a", **config), base)
    assert "adapter_config.json" in str(caught.value)
