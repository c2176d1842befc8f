"""A request as the body of an OpenAI chat completion, as one expert's server takes it."""

from __future__ import annotations

import json
from typing import Any

from orchestrator.inference.engines.schema import StructuredError, parse_structured
from orchestrator.inference.engines.tools import server_messages
from orchestrator.inference.expert import RemoteModel
from orchestrator.inference.request import Request, Sampling
from orchestrator.inference.tool_history import ToolHistory

LIMIT_FIELDS = ("max_tokens", "max_completion_tokens")


def body(remote: RemoteModel, context: int, request: Request) -> dict[str, Any]:
    """The body to send. `context`: prompt plus reply that the expert holds; a reply that may be as long gets no limit
    of its own, for servers refuse a limit that does not fit beside the prompt. Raises `StructuredError`."""
    sampling = request.sampling
    tools = sampling.tools or ToolHistory()
    wanted: dict[str, Any] = {
        "model": remote.model,
        "messages": server_messages(tools, request.messages),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stream": True,
        "stream_options": {"include_usage": True},
        **sampling.further,
    }
    if sampling.max_tokens < context:
        wanted[LIMIT_FIELDS[remote.max_completion_tokens]] = sampling.max_tokens
    if tools.definitions:
        wanted["tools"] = list(tools.definitions)
        wanted |= {"tool_choice": tools.choice} if tools.choice is not None else {}
        wanted |= {"parallel_tool_calls": tools.parallel} if tools.parallel is not None else {}
    if sampling.temperature > 0:
        wanted["seed"] = request.seed
    if sampling.ignore_eos:
        wanted["ignore_eos"] = True
    if sampling.stop:
        wanted["stop"] = list(sampling.stop)
    if sampling.logprobs is not None:
        wanted |= {"logprobs": True, "top_logprobs": sampling.logprobs}
    if sampling.structured is not None:
        kind, value = parse_structured(sampling.structured)
        if kind in ("regex", "grammar"):
            words = "regular expressions" if kind == "regex" else "grammars"
            raise StructuredError(f"structured output: OpenAI's interface has no {words}")
        schema = value if kind == "json" else _choice_schema(value)
        wanted["response_format"] = {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}
    for field in remote.leave_out:
        wanted.pop(field, None)
    if not wanted.get("stream"):
        wanted.pop("stream_options", None)
    return wanted | dict(remote.extra_body)


def choices_of(sampling: Sampling) -> list[str] | None:
    """The texts that the reply must be one of, where it is held to a choice."""
    if sampling.structured is None:
        return None
    kind, value = parse_structured(sampling.structured)
    return list(value) if kind == "choice" else None


def chosen(text: str, choices: list[str]) -> str | None:
    """The choice in {"choice": ...}, or the bare text of a server that ignores schemas; None: it is no choice."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text.strip()
    if isinstance(value, dict):
        value = value.get("choice")
    return value if isinstance(value, str) and value in choices else None


def _choice_schema(choices: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"choice": {"type": "string", "enum": choices}},
        "required": ["choice"],
        "additionalProperties": False,
    }
