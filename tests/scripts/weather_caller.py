"""An expert that calls a tool about the weather, and reads what it returns."""

from __future__ import annotations

import json
from collections.abc import Sequence

from orchestrator.inference.request import PromptMessage


def caller(messages: Sequence[PromptMessage], seed: int) -> str:
    if messages[-1][1].startswith("<tool_response>"):
        return "It is " + messages[-1][1].split()[1]
    return "I look. <tool_call>" + json.dumps({"name": "weather", "arguments": {"city": "Ulm"}}) + "</tool_call>"
