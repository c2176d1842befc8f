"""Messages as clients of many makes send them back, in OpenAI's present form.

Raises `ValueError` with one sentence that begins with the field's name; `ignored` collects what was left out.
"""

from __future__ import annotations

import json
from typing import Any

_MESSAGE_KEYS = frozenset({"role", "content", "name", "tool_calls", "tool_call_id", "audio"})
_THOUGHTS = frozenset({"thinking", "redacted_thinking", "reasoning"})
"""Parts of an assistant's turn that no model is shown again."""
_KINDS = {"image_url": "images", "image": "images", "input_audio": "audio", "file": "files", "video_url": "videos"}


def kind_of(part: Any, default: str = "") -> str:
    """The `type` of a part of a request: a text, whatever stands there (a client's list is in no set of kinds)."""
    kind = part.get("type", default) if isinstance(part, dict) else default
    return kind if isinstance(kind, str) else json.dumps(kind)[:50]


def messages(kept: dict[str, Any], ignored: set[str]) -> None:
    """Bring `kept["messages"]` into form: only what a turn means stays of it. A last assistant's turn that is marked
    `prefix` is to be gone on with."""
    formed: list[Any] = []
    open_calls: list[str] = []
    for place, message in enumerate(kept["messages"]):
        if not isinstance(message, dict):
            formed.append(message)
            continue
        one = {name: value for name, value in message.items() if value is not None}
        if one.get("role") == "assistant":
            open_calls = _assistant(one, place)
        elif one.get("role") in ("tool", "function"):
            _result(one, open_calls)
        if isinstance(one.get("content"), list):
            if one.get("role") == "assistant":
                one["content"] = _without_thoughts(one["content"], ignored)
            one["content"] = [_part(part, f"messages.{place}.content", ignored) for part in one["content"]]
        if one.pop("prefix", None) is True and one.get("role") == "assistant" and place == len(kept["messages"]) - 1:
            kept["continue_final_message"] = True
        names = {name for name in one.keys() - _MESSAGE_KEYS if one[name] not in ("", [], {})}
        ignored |= {f"messages.{name}" for name in names}
        formed.append({name: one[name] for name in one.keys() & _MESSAGE_KEYS})
    kept["messages"] = formed


def _assistant(one: dict[str, Any], place: int) -> list[str]:
    """Bring an assistant's turn into form; the ids of its calls, for results that name none."""
    call = one.pop("function_call", None)
    if isinstance(call, dict) and not one.get("tool_calls"):
        one["tool_calls"] = [{"type": "function", "function": call}]
    refusal = one.pop("refusal", None)
    if isinstance(refusal, str) and refusal and not one.get("content"):
        one["content"] = refusal
    calls = one.get("tool_calls")
    if not calls:
        one.pop("tool_calls", None)
        return []
    if isinstance(calls, list):
        one["tool_calls"] = [_call(call, f"call_{place}_{number}") for number, call in enumerate(calls)]
        return [call["id"] for call in one["tool_calls"] if isinstance(call, dict) and isinstance(call.get("id"), str)]
    return []


def _call(call: Any, id: str) -> Any:
    if not isinstance(call, dict) or not isinstance(call.get("function"), dict):
        return call
    function = call["function"]
    arguments = function.get("arguments")
    if arguments is None:
        arguments = "{}"
    kind = {"type": call["type"]} if call.get("type") is not None else {}
    return {"id": call.get("id") or id, **kind, "function": {"name": function.get("name"), "arguments": arguments}}


def _result(one: dict[str, Any], open_calls: list[str]) -> None:
    """A tool's result belongs to the call that it names, else to the first that has none yet."""
    one["role"] = "tool"
    id = one.get("tool_call_id")
    if not id and open_calls:
        one["tool_call_id"] = open_calls.pop(0)
    elif id in open_calls:
        open_calls.remove(id)


def _without_thoughts(content: list[Any], ignored: set[str]) -> list[Any]:
    kinds = [kind_of(part) for part in content]
    ignored |= {f"messages.content.{kind}" for kind in kinds if kind in _THOUGHTS}
    return [part for part, kind in zip(content, kinds, strict=True) if kind not in _THOUGHTS]


def _part(part: Any, where: str, ignored: set[str]) -> Any:
    if not isinstance(part, dict):
        return part
    kind = kind_of(part)
    if kind in _KINDS:
        raise ValueError(f"{where}: {_KINDS[kind]} cannot be sent to these experts, only text")
    if kind == "refusal" and isinstance(part.get("refusal"), str):
        return {"type": "text", "text": part["refusal"]}
    if kind == "text":
        ignored |= {
            f"messages.content.{name}" for name in part.keys() - {"type", "text"} if part[name] not in (None, [])
        }
        return {"type": "text", "text": part.get("text")}
    return part
