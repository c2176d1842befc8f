"""What `Sampling.structured` says: parsed and checked the same way by every engine."""

from __future__ import annotations

import itertools
import json
import re
import warnings
from collections.abc import Iterator
from typing import Any, Literal

StructuredKind = Literal["json", "choice", "regex", "grammar"]
DEEPEST = 64
"""Levels of a JSON schema: its grammar grows with their square."""
MAX_TEXT = 65_536
MAX_COUNT = 4096
MAX_STATES = 8192
MAX_NESTED = 1024
"""Of a regular expression with repeats of repeats, which are ambiguous: every token would take long."""
COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
ROOT = re.compile(r"^\s*root\s*::=", re.MULTILINE)
TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
MAX_LOOKS = 20_000
"""At a schema's references."""
TEXTS = ("$ref", "$schema", "$id", "$anchor", "pattern", "format", "title", "description")
MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""Keywords whose value is an object of schemas."""
LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
"""Keywords whose value is a list of schemas."""
SINGLE = (
    "items", "additionalProperties", "additionalItems", "unevaluatedProperties", "unevaluatedItems", "contains",
    "propertyNames", "not", "if", "then", "else",
)  # fmt: skip
"""Keywords whose value is a schema, true or false."""


class StructuredError(ValueError):
    """A structured-output request that no engine can keep."""


def parse_structured(structured: str) -> tuple[StructuredKind, Any]:
    """The kind and its value: a JSON schema (dict), choices (non-empty list of strings), a regular expression, or a
    context-free grammar in GBNF, llama.cpp's notation (`root ::= "yes" | "no"`).

    Raises `StructuredError` saying what is malformed.
    """
    try:
        body = json.loads(structured)
    except ValueError as error:
        raise StructuredError(f"structured output is not JSON: {error}") from None
    if not isinstance(body, dict) or len(body) != 1:
        raise StructuredError('structured output wants exactly one of "json", "choice", "regex", "grammar"')
    kind, value = next(iter(body.items()))
    if kind == "json":
        if not isinstance(value, dict):
            raise StructuredError("structured output: a JSON schema is an object")
        if _deeper(value, DEEPEST):
            raise StructuredError(f"structured output: a JSON schema of more than {DEEPEST} levels")
        _check_keywords(value)
        check_size(structured, value)
        _check_references(value)
        return "json", value
    if kind == "choice":
        if not isinstance(value, list) or not value or not all(isinstance(item, str) and item for item in value):
            raise StructuredError("structured output: `choice` is a non-empty list of non-empty strings")
        check_size(structured)
        return "choice", value
    if kind == "regex":
        check_size(structured)
        check_expression(value)
        return "regex", value
    if kind == "grammar":
        if not isinstance(value, str) or not ROOT.search(value):
            raise StructuredError("structured output: a grammar is a text in GBNF with a rule `root ::= ...`")
        check_size(structured)
        return "grammar", value
    raise StructuredError(f'structured output: {kind!r} is none of "json", "choice", "regex", "grammar"')


def check_size(structured: str, schema: Any = None) -> None:
    """Raises `StructuredError` for what would take a grammar compiler more than a moment: much text, counts over
    `MAX_COUNT`, nested repeats whose product passes `MAX_STATES`."""
    if len(structured) > MAX_TEXT:
        raise StructuredError(f"structured output: more than {MAX_TEXT:,} characters")
    if schema is not None and _states(schema) > MAX_STATES:
        raise StructuredError(f"structured output: a JSON schema whose repeats make more than {MAX_STATES:,} parts")


def _states(schema: Any) -> int:
    """About how many parts a schema expands to once its repeats are written out."""
    if isinstance(schema, list):
        return sum(_states(one) for one in schema)
    if not isinstance(schema, dict):
        return 1
    for key in COUNTS:
        value = schema.get(key, 0)
        if key in schema and (not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_COUNT):
            raise StructuredError(f"structured output: {key} is a number from 0 to {MAX_COUNT:,}, not {value!r:.40}")
    patterns = [schema["pattern"]] if isinstance(schema.get("pattern"), str) else []
    patterns += list(schema["patternProperties"]) if isinstance(schema.get("patternProperties"), dict) else []
    own = 1 + sum(check_expression(pattern) for pattern in patterns)
    own += max(schema.get("minLength", 0), schema.get("maxLength", 0)) // 256
    times = max(1, schema.get("minItems", 0), schema.get("maxItems", 0))
    own += times - 1
    for key, value in schema.items():
        if isinstance(value, (dict, list)) and key not in ("enum", "examples", "const", "default", "required"):
            own += _states(value) * (times if key in ("items", "prefixItems", "contains") else 1)
    return int(own)


def check_expression(expression: Any) -> int:
    """How many parts a regular expression expands to. Raises `StructuredError` if it is none, or too many."""
    if not isinstance(expression, str):
        raise StructuredError(f"structured output: a regular expression is a text, not {expression!r:.40}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            size, depth = _expanded(re._parser.parse(expression))  # type: ignore[attr-defined]
    except (re.error, OverflowError, RecursionError) as error:
        raise StructuredError(f"structured output: regular expression {expression!r:.80}: {error}") from None
    maximum = MAX_STATES if depth < 2 else MAX_NESTED
    if size > maximum or depth > 2:
        raise StructuredError(
            f"structured output: regular expression {expression!r:.80}: its repeats make more than {maximum:,} parts, "
            "or are nested more than twice"
        )
    return size


def _expanded(parsed: Any) -> tuple[int, int]:
    """(parts once repeats are written out, how deeply counted repeats are nested)."""
    size = depth = 0
    for operation, argument in parsed:
        name, times = str(operation), 1
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            minimum, maximum, inner = argument
            times = max(1, int(minimum) if str(maximum) == "MAXREPEAT" else int(maximum))
            parts = [inner]
        elif name == "SUBPATTERN":
            parts = [argument[-1]]
        elif name == "BRANCH":
            parts = argument[1]
        elif name in ("ASSERT", "ASSERT_NOT"):
            parts = [argument[1]]
        else:
            parts = [argument] if name == "ATOMIC_GROUP" else []
        found = [_expanded(part) for part in parts]
        size += times * max(1, sum(one for one, _ in found))
        depth = max([depth, *(level + (times > 1) for _, level in found)])
    return max(1, size), depth


def _check_keywords(schema: dict[str, Any]) -> None:
    """Raises `StructuredError` for what is no JSON schema: a keyword whose value is of another kind than it needs, or
    a type that there is not. Engines differ in what they make of such a schema."""
    open_parts: list[tuple[str, Any]] = [("", schema)]
    while open_parts:
        where, part = open_parts.pop()
        if isinstance(part, bool) and where:
            continue
        if not isinstance(part, dict):
            raise StructuredError(f"structured output: a JSON schema is an object{_at(where)}, not {part!r:.40}")
        _check_values(where, part)
        for key in MAPS:
            if not isinstance(inner := part.get(key, {}), dict):
                raise StructuredError(
                    f"structured output: {key} is an object of schemas{_at(where)}, not {inner!r:.40}"
                )
            open_parts += [(f"{where}/{key}/{name}", one) for name, one in inner.items()]
        for key in LISTS:
            if not isinstance(inner := part.get(key, [True]), list) or not inner:
                raise StructuredError(f"structured output: {key} is a list of schemas{_at(where)}, not {inner!r:.40}")
            open_parts += [(f"{where}/{key}/{number}", one) for number, one in enumerate(inner)]
        for key in SINGLE:
            one = part.get(key, True)
            several = one if key == "items" and isinstance(one, list) else [one]  # lists: drafts before 2020-12
            open_parts += [(f"{where}/{key}", each) for each in several]


def _check_values(where: str, part: dict[str, Any]) -> None:
    """The same for keywords that hold no schema."""
    kinds = part.get("type", "object")
    for kind in kinds if isinstance(kinds, list) and kinds else [kinds]:
        if not isinstance(kind, str) or kind not in TYPES:
            known = ", ".join(sorted(TYPES))
            raise StructuredError(f"structured output: type{_at(where)} must be one of {known}, not {kind!r:.40}")
    required = part.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise StructuredError(f"structured output: required{_at(where)} is a list of names, not {required!r:.40}")
    if not isinstance(part.get("enum", [None]), list) or part.get("enum") == []:
        raise StructuredError(f"structured output: enum{_at(where)} is a list of values, not {part['enum']!r:.40}")
    for key in TEXTS:
        if not isinstance(part.get(key, ""), str):
            raise StructuredError(f"structured output: {key}{_at(where)} is a text, not {part[key]!r:.40}")
    for key in NUMBERS:  # true and false: draft 4's exclusive bounds
        value = part.get(key, 0)
        bound = isinstance(value, bool) and key.startswith("exclusive")
        if not bound and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise StructuredError(f"structured output: {key}{_at(where)} is a number, not {value!r:.40}")


def _at(where: str) -> str:
    return f" at {where[:200]}" if where else ""


def _check_references(schema: dict[str, Any]) -> None:
    """Raises `StructuredError` for a `$ref` that leads nowhere, or only back to itself: nothing keeps to such a schema,
    and an engine that is held to it says nothing."""
    open_parts: list[Any] = [schema]
    looked = itertools.count()
    while open_parts:
        part = open_parts.pop()
        if isinstance(part, dict) and isinstance(part.get("$ref"), str):
            _referred(schema, part["$ref"])
            if not _arrives(part, schema, looked):
                raise StructuredError(
                    f"structured output: the schema's $ref {part['$ref'][:100]!r} leads only back to itself"
                )
        inner = part.values() if isinstance(part, dict) else part
        open_parts += [one for one in inner if isinstance(one, (dict, list))]


def _arrives(
    part: Any, root: dict[str, Any], looked: Iterator[int], under_way: frozenset[str] = frozenset(), depth: int = 0
) -> bool:
    """Whether a schema says something of a value besides referring on. `under_way`: the references that led here."""
    if next(looked) > MAX_LOOKS or depth > 2 * DEEPEST:
        raise StructuredError("structured output: too many references that lead on to references")
    if not isinstance(part, dict):
        return True

    def inner(one: Any) -> bool:
        return _arrives(one, root, looked, under_way, depth + 1)

    if isinstance(reference := part.get("$ref"), str):
        if reference in under_way:
            return False
        under_way |= {reference}
        return inner(_referred(root, reference))
    some = [part[key] for key in ("anyOf", "oneOf") if part.get(key)]
    return all(map(inner, part.get("allOf", []))) and all(any(map(inner, choices)) for choices in some)


def _referred(root: dict[str, Any], reference: str) -> Any:
    """What a reference such as `#/$defs/name` leads to."""
    target: Any = root
    for part in [one for one in reference.removeprefix("#").split("/") if one]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(target, dict) and name in target:
            target = target[name]
        elif isinstance(target, list) and name.isdecimal() and int(name[:9]) < len(target):
            target = target[int(name[:9])]
        else:
            raise StructuredError(f"structured output: the schema's $ref {reference[:100]!r} leads nowhere")
    return target


def _deeper(value: Any, levels: int) -> bool:
    level = [value]
    while level and levels:
        inner = (one.values() if isinstance(one, dict) else one for one in level)
        level, levels = [child for part in inner for child in part if isinstance(child, (dict, list))], levels - 1
    return bool(level)


def smallest_instance(schema: dict[str, Any]) -> Any:
    """A small JSON value that keeps to `schema`: its required properties, first alternatives, empty texts.

    Knows type, enum, const, default, anyOf/oneOf/allOf (first), local $ref, properties, items and minItems. Raises
    `StructuredError` for a schema whose smallest value has no end, or more than `MAX_STATES` parts.
    """
    return _instance(schema, schema, 0, itertools.count())


def _instance(schema: dict[str, Any], root: dict[str, Any], depth: int, parts: Iterator[int]) -> Any:
    if depth > DEEPEST:
        raise StructuredError("structured output: a JSON schema that refers to itself without an end")
    if next(parts) > MAX_STATES:  # a reference to a list of references multiplies, which `check_size` does not see
        raise StructuredError(f"structured output: a JSON schema whose smallest value has over {MAX_STATES:,} parts")
    try:
        return _smallest(schema, root, depth, parts)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise StructuredError(f"structured output: not a JSON schema: {str(error)[:100]}") from None


def _smallest(schema: dict[str, Any], root: dict[str, Any], depth: int, parts: Iterator[int]) -> Any:
    if "$ref" in schema:
        return _instance(_referred(root, str(schema["$ref"])), root, depth + 1, parts)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return _instance(schema[key][0], root, depth + 1, parts)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties", {})
        names = schema.get("required", properties)
        return {name: _instance(properties.get(name, {}), root, depth + 1, parts) for name in names}
    if kind == "array":
        return [_instance(schema.get("items", {}), root, depth + 1, parts) for _ in range(schema.get("minItems", 0))]
    empty: dict[str, Any] = {"integer": 0, "number": 0, "boolean": False, "null": None}
    return empty.get(kind, "")
