"""Grammars are compiled in a process that is ended when one is too much."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.inference.engines.grammar_process import GrammarProcess, GrammarTooLarge
from orchestrator.inference.engines.schema import StructuredError

LARGE = {"regex": "[\u0000-\uffff]{1,4000}"}


@pytest.fixture(scope="module")
def tokenizer() -> str:
    from xgrammar import TokenizerInfo

    return str(TokenizerInfo([bytes([byte]) for byte in range(256)]).serialize_json())


@pytest.fixture(scope="module")
def process() -> Iterator[GrammarProcess]:
    made = GrammarProcess()
    yield made
    made.close()


@pytest.mark.parametrize("structured", [{"regex": "[0-9]+"}, {"choice": ["a", "b"]}, {"json": {"type": "integer"}}])
def test_what_compiles_is_let_through(process: GrammarProcess, tokenizer: str, structured: Any) -> None:
    process.check(json.dumps(structured), tokenizer)


def test_what_xgrammar_refuses_is_refused_with_its_words(process: GrammarProcess, tokenizer: str) -> None:
    with pytest.raises(StructuredError, match=r"structured output: .*\$ref") as caught:
        process.check(json.dumps({"json": {"$ref": "https://elsewhere.example/schema"}}), tokenizer)
    assert not isinstance(caught.value, GrammarTooLarge)


def test_what_takes_too_long_ends_the_process_and_the_next_grammar_starts_another(tokenizer: str) -> None:
    process = GrammarProcess(seconds=0.0)
    with pytest.raises(GrammarTooLarge, match="takes more than 0 s"):
        process.check(json.dumps(LARGE), tokenizer)
    process._seconds = 60.0
    process.check(json.dumps({"regex": "[0-9]+"}), tokenizer)
    process.close()
    with pytest.raises(StructuredError, match="closed"):
        process.check(json.dumps({"regex": "[0-9]+"}), tokenizer)


def test_what_takes_too_much_memory_is_refused(tokenizer: str) -> None:
    process = GrammarProcess(seconds=60.0, mib=1)
    with pytest.raises(GrammarTooLarge, match="1 MiB to compile"):
        process.check(json.dumps(LARGE), tokenizer)
    process.close()
