"""Grammars of structured output: what may come next."""

from __future__ import annotations

import json

from orchestrator.inference.engines.grammar import json_grammar
from orchestrator.inference.engines.grammar_process import MAX_BLANKS


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
