"""Statistics for merging: what is gathered is what the layers saw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from small_llamas import random_tensors, write_model

from merging.checkpoint import Checkpoint

Q = "model.layers.1.self_attn.q_proj.weight"


def test_what_is_gathered_is_what_the_layers_saw(tmp_path: Path) -> None:
    import torch

    from orchestrator.experts.statistics import gathered

    folder = write_model(tmp_path / "m", random_tensors(1))
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    seen: list[Any] = []
    layer = network.get_submodule(Q.removesuffix(".weight"))
    layer.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0].detach()[0]))
    ids = [torch.tensor([[1, 2, 3, 4]]), torch.tensor([[5, 6, 7]])]
    grams, tokens = gathered(network, ids, "gram")
    assert tokens == 7
    inputs = torch.cat(seen)
    torch.testing.assert_close(grams[Q], inputs.T @ inputs)
    fisher, _ = gathered(network, ids[:1], "fisher")
    loss = network(input_ids=ids[0], labels=ids[0]).loss * 3
    (gradient,) = torch.autograd.grad(loss, [layer.weight])
    torch.testing.assert_close(fisher[Q], gradient**2 / 4)
    assert set(fisher) == set(Checkpoint(folder).tensors)
