"""What `Sampling.structured` says: parsed and checked the same way by every engine."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

StructuredKind = Literal["json", "choice", "regex"]
DEEPEST = 64
"""Levels of a JSON schema: its grammar grows with their square."""


class StructuredError(ValueError):
    """A structured-output request that no engine can keep."""


def parse_structured(structured: str) -> tuple[StructuredKind, Any]:
    """The kind and its value: a JSON schema (dict), choices (non-empty list of strings) or an expression.

    Raises `StructuredError` saying what is malformed.
    """
    try:
        body = json.loads(structured)
    except ValueError as error:
        raise StructuredError(f"structured output is not JSON: {error}") from None
    if not isinstance(body, dict) or len(body) != 1:
        raise StructuredError('structured output wants exactly one of "json", "choice", "regex"')
    kind, value = next(iter(body.items()))
    if kind == "json":
        if not isinstance(value, dict):
            raise StructuredError("structured output: a JSON schema is an object")
        if _deeper(value, DEEPEST):
            raise StructuredError(f"structured output: a JSON schema of more than {DEEPEST} levels")
        return "json", value
    if kind == "choice":
        if not isinstance(value, list) or not value or not all(isinstance(item, str) and item for item in value):
            raise StructuredError("structured output: `choice` is a non-empty list of non-empty strings")
        return "choice", value
    if kind == "regex":
        try:
            re.compile(value)
        except (re.error, TypeError) as error:
            raise StructuredError(f"structured output: regular expression {value!r}: {error}") from None
        return "regex", value
    raise StructuredError(f'structured output: {kind!r} is none of "json", "choice", "regex"')


def _deeper(value: Any, levels: int) -> bool:
    level = [value]
    while level and levels:
        inner = (one.values() if isinstance(one, dict) else one for one in level)
        level, levels = [child for part in inner for child in part if isinstance(child, (dict, list))], levels - 1
    return bool(level)


def smallest_instance(schema: dict[str, Any], root: dict[str, Any] | None = None) -> Any:
    """A small JSON value that keeps to `schema`: its required properties, first alternatives, empty texts.

    Knows type, enum, const, default, anyOf/oneOf/allOf (first), local $ref, properties, items and minItems.
    """
    root = schema if root is None else root
    if "$ref" in schema:
        target: Any = root
        for part in str(schema["$ref"]).removeprefix("#/").split("/"):
            target = target[part]
        return smallest_instance(target, root)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return smallest_instance(schema[key][0], root)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: smallest_instance(properties.get(name, {}), root) for name in schema.get("required", properties)}
    if kind == "array":
        return [smallest_instance(schema.get("items", {}), root) for _ in range(schema.get("minItems", 0))]
    empty: dict[str, Any] = {"integer": 0, "number": 0, "boolean": False, "null": None}
    return empty.get(kind, "")
