"""vLLM's kernels for the CPU, held against its plain versions. In live models: test_vllm.py, test_swapping.py."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.inference.engines.vllm_kernels import rotate_rows, use_kernels

pytest.importorskip("vllm")
# What vLLM says while it is imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture
def configured() -> Any:
    from vllm.config import VllmConfig, set_current_vllm_config

    with set_current_vllm_config(VllmConfig()):
        yield


@pytest.mark.parametrize("neox", [True, False])
def test_a_query_with_an_axis_of_heads_is_turned_as_rows_of_tokens_are(configured: None, neox: bool) -> None:
    """Latent attention turns the last numbers of each head's query, and one key for all heads."""
    import torch
    from vllm.model_executor.layers.rotary_embedding import get_rope

    rope = get_rope(
        64,
        max_position=128,
        rope_parameters={"rope_theta": 10_000.0, "rope_type": "default"},
        is_neox_style=neox,
        dtype=torch.float32,
    )
    rope._forward_method = rope.forward_cpu
    assert rotate_rows(torch.nn.ModuleList([rope])) == 1
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(7, heads, 192, generator=generator) for heads in (4, 1))
    positions = torch.arange(7)
    wanted = rope.forward_native(positions, query[..., 128:].contiguous(), key[..., 128:].contiguous())
    found = rope(positions, query.clone()[..., 128:], key.clone()[..., 128:])
    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    flat, _ = rope(positions, query[..., 128:].reshape(7, 256), key[..., 128:].reshape(7, 64))
    assert torch.allclose(flat.view(7, 4, 64), wanted[0], atol=1e-5)


def test_a_norm_reads_what_lies_apart_as_the_plain_version_does(configured: None) -> None:
    import torch
    from vllm.model_executor.layers.layernorm import RMSNorm

    norm = RMSNorm(64, eps=1e-6)
    norm.weight.data.normal_(generator=torch.Generator().manual_seed(1))
    wide = torch.randn(7, 96, generator=torch.Generator().manual_seed(2))
    wanted = norm.forward_native(wide[:, :64].contiguous())
    use_kernels(torch.nn.ModuleList([norm]))
    assert torch.allclose(norm(wide[:, :64]), wanted, atol=1e-4)
