"""Grammars are compiled in a process that is ended when one is too much."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.inference.engines.grammar_process import GrammarProcess, GrammarRefused
from orchestrator.inference.engines.schema import StructuredError

LARGE = {"json": {"properties": {f"key {number}": {"type": "string", "maxLength": 4000} for number in range(300)}}}


@pytest.fixture(scope="module")
def tokenizer() -> str:
    from xgrammar import TokenizerInfo

    return str(TokenizerInfo([bytes([byte]) for byte in range(256)]).serialize_json())


@pytest.fixture(scope="module")
def process() -> Iterator[GrammarProcess]:
    made = GrammarProcess()
    yield made
    made.close()


@pytest.mark.parametrize(
    "structured",
    [{"regex": "[0-9]+"}, {"choice": ["a", "b"]}, {"json": {"type": "integer"}}, {"grammar": 'root ::= "a" | "b"'}],
)
def test_what_compiles_is_let_through(process: GrammarProcess, tokenizer: str, structured: Any) -> None:
    process.check(json.dumps(structured), tokenizer)


def test_what_xgrammar_refuses_is_refused_with_its_words(process: GrammarProcess, tokenizer: str) -> None:
    with pytest.raises(StructuredError, match=r"structured output: .*\$ref") as caught:
        process.check(json.dumps({"json": {"$ref": "https://elsewhere.example/schema"}}), tokenizer)
    assert not isinstance(caught.value, GrammarRefused)


@pytest.mark.parametrize(("bound", "value"), [("seconds", 0.0), ("mib", 0)])
def test_what_takes_too_long_or_too_much_is_ended_and_the_next_is_compiled(
    process: GrammarProcess, tokenizer: str, monkeypatch: pytest.MonkeyPatch, bound: str, value: float
) -> None:
    monkeypatch.setattr(process, bound, value)
    with pytest.raises(GrammarRefused, match=r"takes more than .* s or .* MiB to compile"):
        process.check(json.dumps(LARGE), tokenizer)
    monkeypatch.undo()
    process.check(json.dumps({"regex": "[0-9]+"}), tokenizer)


def test_a_closed_process_refuses(tokenizer: str) -> None:
    process = GrammarProcess()
    process.close()
    with pytest.raises(StructuredError, match="closed"):
        process.check(json.dumps({"regex": "[0-9]+"}), tokenizer)
