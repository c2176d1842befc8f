"""What replies are held to: schemas are bounded before any engine sees them, and so is white space in JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.inference.engines.schema import DEEPEST, StructuredError, parse_structured, smallest_instance


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels - 1):
        schema = {"items": schema}
    return schema


def test_a_schema_has_a_depth_that_no_client_decides() -> None:
    assert parse_structured(json.dumps({"json": nested(DEEPEST)})) == ("json", nested(DEEPEST))
    with pytest.raises(StructuredError, match="more than 64 levels"):
        parse_structured(json.dumps({"json": nested(DEEPEST + 1)}))


@pytest.mark.parametrize(
    ("structured", "said"),
    [
        ({"json": {"type": "array", "minItems": 10**9}}, "minItems is a number from 0 to 4,096"),
        ({"json": {"type": "string", "maxLength": -1}}, "maxLength is a number"),
        ({"json": {"type": "string", "pattern": "((a{1,50}b){1,50}c){1,50}"}}, "regular expression"),
        ({"json": {"type": "string", "pattern": "("}}, "regular expression"),
        ({"json": {"patternProperties": {"(a{1,99}){1,99}": {}}}}, "regular expression"),
        ({"json": {"items": {"items": {"minItems": 4000}, "minItems": 4000}}}, "repeats make more than 8,192 parts"),
        ({"json": {"type": "nonsense"}}, "type must be one of array, boolean"),
        ({"json": {"type": [{}]}}, "type must be one of"),
        ({"json": {"properties": {"a": {"type": "strin"}}}}, "type at /properties/a must"),
        ({"json": {"properties": []}}, "properties is an object of schemas"),
        ({"json": {"properties": {"a": 3}}}, "an object at /properties/a, not 3"),
        ({"json": {"anyOf": []}}, "anyOf is a list of schemas"),
        ({"json": {"not": "x"}}, "an object at /not"),
        ({"json": {"required": "a"}}, "required is a list of names"),
        ({"json": {"items": {"enum": []}}}, "enum at /items is a list of values"),
        ({"json": {"enum": 3}}, "enum is a list of values"),
        ({"json": {"minimum": "1"}}, "minimum is a number"),
        ({"json": {"pattern": 4}}, "pattern is a text"),
        ({"regex": "(?:(?:a?){50}){50}"}, "repeats make more than 1,024 parts"),
        ({"regex": "a{99999}"}, "repeats make more than 8,192 parts"),
        ({"regex": 7}, "a regular expression is a text"),
        ({"grammar": 7}, "a grammar is a text in GBNF"),
        ({"grammar": "start: word"}, "a rule `root ::= ...`"),
        ({"choice": ["x" * 70_000]}, "more than 65,536 characters"),
    ],
)
def test_what_would_stall_an_engine_is_refused_at_once(structured: dict[str, Any], said: str) -> None:
    with pytest.raises(StructuredError, match=said):
        parse_structured(json.dumps(structured))


@pytest.mark.parametrize(
    "structured",
    [
        {"json": {"type": "array", "minItems": 100, "items": {"type": "string", "maxLength": 4000}}},
        {"json": {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2})?$"}},
        {"regex": r"(\w{1,20}, ){0,30}\w+"},
        {"json": {"properties": {"type": {"type": "string"}, "required": {"type": ["integer", "null"]}}}},
        {"json": {"items": [{"type": "number"}], "additionalItems": False, "exclusiveMinimum": True}},
        {"json": {"enum": [{"type": "nonsense"}], "const": {"anyOf": []}, "default": {"properties": 3}}},
        {"json": {"additionalProperties": {"type": "string"}, "contains": True, "x-odd": {"type": 3}}},
        {"regex": "[a-z]{1,4000}"},
        {"grammar": 'word ::= [a-z]+\nroot ::= word ("," word)*'},
    ],
)
def test_what_people_ask_for_is_kept(structured: dict[str, Any]) -> None:
    assert parse_structured(json.dumps(structured))[1] == next(iter(structured.values()))


def test_a_schema_that_refers_to_itself_has_no_smallest_value() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}, "required": ["next"]}
    with pytest.raises(StructuredError, match="without an end"):
        smallest_instance({"$defs": {"n": node}, "$ref": "#/$defs/n"})


def test_references_that_multiply_have_no_smallest_value() -> None:
    lists = {f"a{i}": {"type": "array", "items": {"$ref": f"#/$defs/a{i + 1}"}, "minItems": 100} for i in range(9)}
    schema = {"$defs": {**lists, "a9": {"type": "integer"}}, "$ref": "#/$defs/a0"}
    assert parse_structured(json.dumps({"json": schema}))[0] == "json"
    with pytest.raises(StructuredError, match="over 8,192 parts"):
        smallest_instance(schema)


def refers(schema: dict[str, Any]) -> str:
    return json.dumps({"json": schema})


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        {"allOf": [{"type": "object"}, {"$ref": "#"}]},
        {"anyOf": [{"$ref": "#"}, {"oneOf": [{"$ref": "#"}]}]},
        {
            "type": "object",
            "properties": {"x": {"$ref": "#/$defs/a"}},
            "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}},
        },
    ],
    ids=str,
)
def test_a_reference_that_leads_only_back_to_itself_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(StructuredError, match="leads only back to itself"):
        parse_structured(refers(schema))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"next": {"$ref": "#"}}},
        {"anyOf": [{"$ref": "#/$defs/b"}, {"type": "string"}], "$defs": {"b": {"$ref": "#"}}},
        {
            "$ref": "#/$defs/a",
            "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"type": "array", "items": {"$ref": "#/$defs/a"}}},
        },
        {
            "$defs": {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(60)} | {"a60": {"type": "null"}},
            "$ref": "#/$defs/a0",
        },
    ],
    ids=lambda schema: str(schema)[:60],
)
def test_references_that_come_to_something_are_taken(schema: dict[str, Any]) -> None:
    assert parse_structured(refers(schema)) == ("json", schema)


def test_references_that_multiply_are_refused_at_once() -> None:
    both = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)}
    chain = {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(400)}
    for defs, last in ((both, "a40"), (chain, "a400")):
        schema = {"$defs": {**defs, last: {"type": "null"}}, "$ref": "#/$defs/a0"}
        with pytest.raises(StructuredError, match="too many references"):
            parse_structured(refers(schema))
