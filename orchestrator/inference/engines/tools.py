"""Conversations with tools: what they have besides texts, and tool calls as text and back.

A reply is stored as text whatever wrote it, so a call of a tool is text too, in Hermes' form, which Qwen and many
others write by themselves: `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`
(https://github.com/NousResearch/Hermes-Function-Calling). What other models write is understood where it is clear:
see `parse_calls`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.inference.request import PromptMessage
from orchestrator.inference.tool_history import ToolHistory

OPEN, CLOSE = "<tool_call>", "</tool_call>"
PYTHON_TAG = "<|python_tag|>"
MAX_CALLS = 128
"""Calls in one reply; further ones stay text."""

_ENDS = re.compile(rf"\s*(?:{CLOSE}|(?={OPEN})|\Z)")
"""After a call's JSON: its mark, or what shows that a model forgot it."""
_SPACE = re.compile(r"\s*")
_MARKS = re.compile(r"\A(?:<\|python_tag\|>|\[TOOL_CALLS\]|```(?:json)?\s)\s*|\s*```\Z")
"""Before and after a bare call, as Llama, Mistral and chatty models write them."""

_PROMPT = """You may call functions to help with the user's request. Their signatures are between <tools></tools>:
<tools>
{tools}
</tools>
For each call return a JSON object with the function's name and arguments between <tool_call></tool_call>:
<tool_call>
{{"name": <function-name>, "arguments": <arguments-object>}}
</tool_call>"""


@dataclass(frozen=True, slots=True)
class ParsedCall:
    """One call of a tool. `arguments` is a JSON object as text, as OpenAI has it."""

    name: str
    arguments: str


def server_messages(tools: ToolHistory, messages: Sequence[PromptMessage]) -> list[dict[str, Any]]:
    """Messages with their calls and results in OpenAI's form, for servers."""
    return [
        {"role": role, "content": content, **tools.turns.get(number, {})}
        for number, (role, content) in enumerate(messages)
    ]


def template_messages(tools: ToolHistory, messages: Sequence[PromptMessage]) -> list[dict[str, Any]]:
    """For chat templates that know tools: as `server_messages`, but the arguments of calls are objects."""
    turns = server_messages(tools, messages)
    for turn in turns:
        if "tool_calls" in turn:
            turn["tool_calls"] = [
                {**call, "function": {**call["function"], "arguments": _object(call["function"]["arguments"])}}
                for call in turn["tool_calls"]
            ]
    return turns


def plain_messages(tools: ToolHistory, messages: Sequence[PromptMessage]) -> list[PromptMessage]:
    """For models that know nothing of tools: all of it as texts, in Hermes' form."""
    formatted: list[PromptMessage] = []
    for number, (role, content) in enumerate(messages):
        calls = tools.turns.get(number, {}).get("tool_calls", ())
        if calls:
            parsed = [ParsedCall(call["function"]["name"], call["function"]["arguments"]) for call in calls]
            content = "\n".join(filter(None, (content, format_calls(parsed))))
        elif role == "tool":
            role, content = "user", f"<tool_response>\n{content}\n</tool_response>"
            if formatted and formatted[-1][0] == "user" and formatted[-1][1].startswith("<tool_response>"):
                content = f"{formatted.pop()[1]}\n{content}"
        formatted.append((role, content))
    if tools.definitions:
        prompt = _PROMPT.format(tools="\n".join(json.dumps(one, ensure_ascii=False) for one in tools.definitions))
        if formatted and formatted[0][0] == "system":
            formatted[0] = ("system", f"{formatted[0][1]}\n\n{prompt}")
        else:
            formatted.insert(0, ("system", prompt))
    return formatted


def format_calls(calls: Sequence[ParsedCall]) -> str:
    """Calls as text."""
    return "\n".join(
        f"{OPEN}\n{json.dumps({'name': call.name, 'arguments': _object(call.arguments)}, ensure_ascii=False)}\n{CLOSE}"
        for call in calls
    )


def parse_calls(text: str, names: Collection[str]) -> tuple[str, list[ParsedCall]]:
    """(what is left as text, calls). A call is `<tool_call>JSON</tool_call>` anywhere, or a reply that is JSON and
    nothing else (Llama's, Mistral's and ours where a call is required): an object, or a list of them, with `name` and
    `arguments` or `parameters`. Only calls of `names` are calls; everything else stays what it was: text."""
    calls: list[ParsedCall] = []
    rest, begin = "", 0
    for mark in re.finditer(OPEN, text):
        if mark.start() < begin:  # inside the call before
            continue
        found, end = _call(text, mark.end(), names)
        if found and len(calls) + len(found) <= MAX_CALLS:
            calls.extend(found)
            rest, begin = rest + text[begin : mark.start()], end
    if calls:
        return (rest + text[begin:]).strip(), calls
    bare = _MARKS.sub("", text.strip())
    found, end = _call(bare, 0, names) if bare[:1] in ("{", "[") else ([], 0)
    if found and end == len(bare) and len(found) <= MAX_CALLS:
        return "", found
    return text, []


def begins(text: str, *, first: bool) -> int:
    """Where a call may begin in a reply that goes on: what is before it will stay text. Its whole length: nowhere.
    `first`: nothing of the reply was before this text."""
    start = text.lstrip()
    if first and (start[:1] in ("", "{", "[", "`") or PYTHON_TAG.startswith(start[: len(PYTHON_TAG)])):
        return 0
    found = text.find(OPEN)
    if found < 0:
        partial = (length for length in range(len(OPEN) - 1, 0, -1) if text.endswith(OPEN[:length]))
        found = len(text) - next(partial, 0)
    return found if text[:found].strip() or not first else 0


def _call(text: str, begin: int, names: Collection[str]) -> tuple[list[ParsedCall], int]:
    """(calls, where they end) of the JSON at `begin`; no calls: it is none, or something follows it."""
    try:
        parsed, end = _JSON.raw_decode(text, _SPACE.match(text, begin).end())  # type: ignore[union-attr]  # always matches
    except (ValueError, RecursionError):
        return [], begin
    ending = _ENDS.match(text, end)
    return (_calls(parsed, names), ending.end()) if ending else ([], begin)


def _calls(parsed: Any, names: Collection[str]) -> list[ParsedCall]:
    found = []
    for one in parsed if isinstance(parsed, list) else [parsed]:
        inner = one.get("function") if isinstance(one, dict) and isinstance(one.get("function"), dict) else one
        if not isinstance(inner, dict) or not isinstance(inner.get("name"), str) or inner["name"] not in names:
            return []
        arguments = inner.get("arguments", inner.get("parameters", {}))
        arguments = _object(arguments) if isinstance(arguments, str) else arguments
        if not isinstance(arguments, dict):
            return []
        found.append(ParsedCall(inner["name"], json.dumps(arguments)))
    return found


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


_JSON = json.JSONDecoder(parse_constant=_no_number)


def _object(arguments: str) -> Any:
    """Arguments as JSON has them; what is no JSON stays text."""
    try:
        return _JSON.decode(arguments)
    except (ValueError, RecursionError):
        return arguments
