"""What a live vLLM model is asked: every prompt carries its expert's fingerprint as cache salt."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.inference.engines.vllm_shape import LiveModel
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Request, Sampling

pytest.importorskip("vllm")


def test_a_prompt_is_salted_with_its_experts_fingerprint_and_a_canary_with_its_own_name() -> None:
    asked: list[dict[str, Any]] = []
    live = LiveModel.__new__(LiveModel)
    live._loras = {}
    live._llm = SimpleNamespace(  # type: ignore[assignment]
        add_request=lambda key, prompt, *_, **__: asked.append(prompt),
        vllm_config=SimpleNamespace(lora_config=None),
    )
    experts = [Expert(name, f"print of {name}", "shape") for name in ("one", "two")]
    for one in experts:
        live.add(Request(f"key of {one.name}", one.name, (("user", "hi"),), Sampling()), one, [1, 2, 3], 8, (0,))
    live.add_canary("canary", [1, 2, 3], 4, 8, experts[0])
    assert [prompt["cache_salt"] for prompt in asked] == [*(one.fingerprint for one in experts), "canary"]
    assert len({prompt["cache_salt"] for prompt in asked}) == 3
