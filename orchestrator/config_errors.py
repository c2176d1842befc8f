"""What is wrong with a configuration or a request, in words: key paths, values, and the nearest valid key."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel, ValidationError


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """All that is wrong, on one line: key path, what was wrong, and for an unknown key the nearest valid one."""
    messages = []
    for problem in error.errors():
        where = ".".join(printable(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(problem["loc"][-1]), _fields(model, problem["loc"][:-1]), 1, 0.4)
            messages.append(f"{where}: unknown key" + (f"; did you mean {near[0]!r}?" if near else ""))
        else:
            given = "" if problem["type"] in ("missing", "value_error") else f" (got {problem['input']!r:.60})"
            messages.append(f"{where + ': ' if where else ''}{problem['msg'].removeprefix('Value error, ')}{given}")
    return "; ".join(messages)


def printable(part: int | str) -> str:
    """A key as it may stand in a one-line message, whatever is in it."""
    text = str(part)[:80]
    return text if text.isprintable() else repr(text)


def _fields(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Names of the keys that are valid at `path` below `model`."""
    for part in path:
        field = model.model_fields.get(str(part))
        if field is None:
            continue  # an index, or a key of a mapping such as an expert's name
        found = _model_in(field.annotation)
        if found is None:
            return []
        model = found
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if found := _model_in(inner):
            return found
    return None
