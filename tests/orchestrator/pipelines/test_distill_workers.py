"""Training on several workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.pipelines.distill import teach
from orchestrator.pipelines.teaching import TeachRequest
from tests.scripts.distill_commands import generated


@pytest.mark.soak
def test_two_workers_teach_what_one_does(zoo: Path, tiny: Path, ray_cluster: Any) -> None:
    import torch
    from safetensors.torch import load_file

    path = generated()["path"]
    found = []
    for workers in (1, 2):
        request = TeachRequest(
            transcripts=[path], student=str(tiny), tokens=2_000, step_tokens=500, batch_tokens=200, precision="fp32",
            rank=2, encoder_width=8, encoder_dropout=0, workers=workers,
        )  # fmt: skip
        taught = teach(request, Path(f"out{workers}"), experts={})
        found.append((taught.metrics, load_file(taught.folder / "adapter_model.safetensors")))
    (alone, first), (shared, second) = found
    assert [one.tokens for one in alone] == [one.tokens for one in shared]
    for one, two in zip(alone, shared, strict=True):
        assert one.next_token == pytest.approx(two.next_token, rel=1e-3)
        assert one.gradient == pytest.approx(two.gradient, rel=1e-2)
    assert all(torch.allclose(first[name], second[name], atol=1e-3) for name in first)
