"""Bursts of chats on vLLM, and token ids that its vocabulary does not have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

# What vLLM says while an engine starts.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


def test_of_a_burst_of_chats_the_first_are_answered_while_the_others_enter(vllm: Any) -> None:
    from orchestrator.inference.engines.vllm_start import ENTERING_TOKENS

    asked = [vllm.request(f"{number} {' river' * 60}?", max_tokens=30) for number in range(12)]
    for waited in (30.0, None):
        chats = [replace(request, key=f"{request.key} {waited}", max_wait=waited) for request in asked]
        for request in chats:
            vllm.engine.add(request, vllm.first)
        with pytest.raises(RuntimeError, match="requests are running"):
            vllm.engine.load(vllm.second)
        first = [delta.key for delta in vllm.engine.step()]
        if waited is None:  # nobody waits for a batch
            assert len(first) == min(len(chats), vllm.engine.options.batch)
        else:
            assert first == [request.key for request in chats[: len(first)]]
            assert len(first) == -(-ENTERING_TOKENS // len(vllm.engine._running[chats[0].key].ids))
        vllm.engine.abort(chats[-1].key)
        deltas = vllm.drain({request.key for request in chats[:-1]})
        assert chats[-1].key not in {key for key, found in deltas.items() if found and found[-1].last}
        assert all(sum(delta.tokens for delta in found) > 0 for key, found in deltas.items() if key in first)


def test_a_bias_against_a_token_that_is_not_there_is_kept(vllm: Any) -> None:
    assert vllm.ask("Tell me about rivers.", logit_bias=((10**6, -100.0),), max_tokens=3)
    request = vllm.request("Tell me about rivers.", logit_bias=((10**6, 1.0),))
    assert "1000000" in str(vllm.run(request)[request.key][-1].error)
