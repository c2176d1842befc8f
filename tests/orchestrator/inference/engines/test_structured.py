"""What replies are held to: schemas are bounded before any engine sees them, and so is white space in JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.inference.engines.grammar import MAX_BLANKS, json_grammar
from orchestrator.inference.engines.schema import DEEPEST, StructuredError, parse_structured


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels - 1):
        schema = {"items": schema}
    return schema


def test_a_schema_has_a_depth_that_no_client_decides() -> None:
    assert parse_structured(json.dumps({"json": nested(DEEPEST)})) == ("json", nested(DEEPEST))
    with pytest.raises(StructuredError, match="more than 64 levels"):
        parse_structured(json.dumps({"json": nested(DEEPEST + 1)}))


def test_white_space_in_json_has_an_end() -> None:
    from xgrammar import Grammar, GrammarCompiler, GrammarMatcher, TokenizerInfo

    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    compiler = GrammarCompiler(TokenizerInfo([bytes([byte]) for byte in range(256)]))
    compiled = compiler.compile_grammar(Grammar.from_ebnf(json_grammar(json.dumps(schema))))

    def accepts(text: str) -> bool:
        return bool(GrammarMatcher(compiled).accept_string(text))

    assert accepts('{"a": 1}')
    assert accepts("{" + MAX_BLANKS * " " + '"a"')
    assert not accepts("{" + (MAX_BLANKS + 1) * " ")
