"""A local engine that must call is held to the JSON of a call; a server is told as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.errors import RequestError
from orchestrator.inference.request import Sampling
from orchestrator.inference.tool_sampling import tool_sampling

TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("f", "g")]


def sampled(choice: Any = None, remote: bool = False, **more: Any) -> Sampling:
    return tool_sampling(Sampling(**more), TOOLS, choice, None, {}, remote=remote)


def test_without_tools_nothing_changes() -> None:
    assert tool_sampling(Sampling(), (), None, None, {}, remote=False) == Sampling()


def test_who_may_call_is_free_and_who_must_is_held() -> None:
    assert sampled().structured is None
    assert sampled("required", remote=True).structured is None
    names = json.dumps(json.loads(sampled("required").structured or "")["json"])
    assert '"f"' in names
    assert '"g"' in names
    one = json.loads(sampled({"type": "function", "function": {"name": "g"}}).structured or "")["json"]
    assert one["properties"]["name"]["enum"] == ["g"]
    either = json.loads(sampled(structured='{"json": {"type": "object"}}').structured or "")["json"]
    assert len(either["anyOf"]) == 2
    with pytest.raises(RequestError, match="response_format"):
        sampled(structured='{"regex": "a"}')
