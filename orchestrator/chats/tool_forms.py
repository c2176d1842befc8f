"""Tools, and the choice among them, as clients of many makes send them, in OpenAI's present form.

Raises `ValueError` with one sentence that begins with the field's name; `ignored` collects what was left out.
"""

from __future__ import annotations

from typing import Any


def tools(kept: dict[str, Any], ignored: set[str]) -> None:
    """Tools and the choice among them in OpenAI's present form. Raises ValueError for anything else."""
    functions = kept.pop("functions", None)
    if functions is not None:
        if not isinstance(functions, list):
            raise ValueError("functions: a list is needed")
        if functions:
            put(kept, "tools", [{"type": "function", "function": one} for one in functions], "functions")
    call = kept.pop("function_call", None)
    if call is not None:
        named = isinstance(call, dict)
        put(kept, "tool_choice", {"type": "function", "function": call} if named else call, "function_call")
    given = kept.get("tools")
    if isinstance(given, list):
        kept["tools"] = [_tool(one, ignored) for one in given]
    choice = kept.get("tool_choice")
    if choice == "any":
        kept["tool_choice"] = "required"
    elif isinstance(choice, dict):
        _choice(kept, choice)


def _tool(tool: Any, ignored: set[str]) -> Any:
    if not isinstance(tool, dict) or tool.get("type", "function") != "function":
        return tool
    function = tool.get("function")
    if not isinstance(function, dict):
        if not isinstance(tool.get("name"), str):
            return tool
        function = {name: value for name, value in tool.items() if name != "type"}
        tool = {}
    known = {"name", "description", "parameters", "strict"}
    ignored |= {
        f"tools.{name}" for name, value in tool.items() if name not in ("type", "function") and value is not None
    }
    ignored |= {f"tools.function.{name}" for name in function.keys() - known if function[name] is not None}
    kept = {name: function[name] for name in known if function.get(name) is not None}
    return {"type": "function", "function": kept}


def _choice(kept: dict[str, Any], choice: dict[str, Any]) -> None:
    kind = choice.get("type")
    if kind in ("none", "auto", "required", "any"):
        kept["tool_choice"] = "required" if kind == "any" else kind
    elif kind in ("tool", "function") and isinstance(choice.get("name"), str):
        kept["tool_choice"] = {"type": "function", "function": {"name": choice["name"]}}
    elif kind == "allowed_tools":
        allowed = choice.get("allowed_tools", choice)
        allowed = allowed if isinstance(allowed, dict) else {}
        listed, mode = allowed.get("tools"), allowed.get("mode", "auto")
        if not isinstance(listed, list) or mode not in ("auto", "required"):
            raise ValueError("tool_choice: allowed_tools needs a list of tools and the mode auto or required")
        names = {str(_name(one)) for one in listed}
        given = kept.get("tools")
        have = [tool for tool in given if isinstance(tool, dict)] if isinstance(given, list) else []
        if missing := names - {str(_name(tool)) for tool in have}:
            raise ValueError(f"tool_choice: no function {min(missing)[:100]!r} among the tools")
        kept["tools"] = [tool for tool in have if str(_name(tool)) in names]
        kept["tool_choice"] = mode


def _name(tool: Any) -> Any:
    if not isinstance(tool, dict):
        return None
    inner = tool.get("function")
    return inner.get("name") if isinstance(inner, dict) else tool.get("name")


def put(kept: dict[str, Any], name: str, value: Any, given: str) -> None:
    """Set a field under its own name. Raises `ValueError` where it has another value already."""
    if name in kept and kept[name] != value:
        raise ValueError(f"{given}: {name} says otherwise; send one of the two")
    kept[name] = value
