"""What an engine is told of a chat's tools: a local one that must call is held to the JSON of a call."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.errors import RequestError
from orchestrator.inference.engines.schema import StructuredError, parse_structured
from orchestrator.inference.request import Sampling
from orchestrator.inference.tool_history import ToolHistory


def tool_sampling(
    sampling: Sampling,
    definitions: Sequence[Mapping[str, Any]],
    choice: Any,
    parallel: bool | None,
    turns: Mapping[int, Mapping[str, Any]],
    *,
    remote: bool,
) -> Sampling:
    """`sampling` with tools. `definitions`, `choice`, `parallel`, `turns`: as `ToolHistory` has them. A remote server
    is told `tool_choice` and the structure as they are; a local engine that must call is held to the JSON of a call,
    and one that may call or answer in a schema to either of the two. Raises `RequestError` for a demand that cannot be
    kept."""
    if not definitions and not turns:
        return sampling
    tool_history = ToolHistory(definitions, choice, parallel, turns)
    free = choice in (None, "auto")
    if not definitions or remote or (free and sampling.structured is None):
        return replace(sampling, tools=tool_history)
    wanted = {choice["function"]["name"]} if isinstance(choice, Mapping) else tool_history.names
    schema = _schema_of_a_call([one["function"] for one in definitions if one["function"]["name"] in wanted])
    if free and sampling.structured is not None:
        schema = _either(schema, json.loads(sampling.structured))
    structured = json.dumps({"json": schema}, sort_keys=True)
    try:
        parse_structured(structured)
    except StructuredError as error:
        raise RequestError(f"tools: {str(error).removeprefix('structured output: ')}") from None
    return replace(sampling, tools=tool_history, structured=structured)


def _either(call: dict[str, Any], structured: dict[str, Any]) -> dict[str, Any]:
    """A schema for a call or for an answer. Raises `RequestError` where the two cannot stand in one schema."""
    if "json" not in structured:
        raise RequestError("response_format: beside tools a JSON schema is needed, no pattern and no choice")
    answer = dict(structured["json"]) if isinstance(structured["json"], dict) else {}
    shared = dict[str, Any]()
    for one in (call, answer):
        for key in ("$defs", "definitions"):
            for name, definition in (one.pop(key, None) or {}).items():
                if shared.setdefault(key, {}).setdefault(name, definition) != definition:
                    raise RequestError(f"response_format: it and the tools define {key}.{name[:80]} differently")
    return {"anyOf": [call, answer], **shared}


def _schema_of_a_call(functions: list[dict[str, Any]]) -> dict[str, Any]:
    calls, shared = [], dict[str, Any]()
    for function in functions:
        parameters = dict(function.get("parameters") or {"type": "object"})
        for name, definition in (parameters.pop("$defs", None) or {}).items():
            if shared.setdefault(name, definition) != definition:
                raise RequestError(f"tools: two functions define $defs.{name[:80]} differently")
        calls.append(
            {
                "type": "object",
                "properties": {"name": {"type": "string", "enum": [function["name"]]}, "arguments": parameters},
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
        )
    schema = calls[0] if len(calls) == 1 else {"anyOf": calls}
    return {**schema, "$defs": shared} if shared else schema
