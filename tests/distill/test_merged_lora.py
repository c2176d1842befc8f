"""LoRA as one matrix product: the losses and gradients of peft's own layers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scripts.small_students import Discuss, network, rows, taught


def test_merged_layers_give_pefts_losses_and_gradients(tiny: Path, discuss: Discuss) -> None:
    import torch

    from distill.rows import batched

    # Dropout of next to nothing keeps peft's own layers.
    merged, plain = network(tiny), network(tiny, dropout=1e-9)
    generator = torch.Generator().manual_seed(3)
    for name, each in merged.trainable().items():
        if "lora" in name:
            each.data.add_(0.1 * torch.randn(each.shape, generator=generator))
            plain.trainable()[name].data.copy_(each.data)
    merged.changed()
    found = []
    for made in (merged, plain):
        part = made.losses(batched(rows(made, taught(discuss()))))
        (part.next_token + part.node + part.margin).backward()
        found.append(part)
    assert found[0].next_token.item() == pytest.approx(found[1].next_token.item(), rel=1e-4)
    for name, each in merged.trainable().items():
        other = plain.trainable()[name].grad
        assert each.grad is not None
        assert torch.allclose(each.grad, other, atol=1e-4 * float(other.abs().max())), name
