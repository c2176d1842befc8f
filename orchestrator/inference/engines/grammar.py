"""Structured output: xgrammar says which tokens may come next, for the transformers engine here, for vLLM's there.

https://github.com/mlc-ai/xgrammar, the library that vLLM uses by default.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.inference.engines.schema import StructuredError, parse_structured

if TYPE_CHECKING:
    import torch

MAX_BLANKS = 16
"""White space between two parts of JSON: a small model that may go on for ever does."""


@functools.lru_cache(maxsize=16)
def json_grammar(schema: str) -> str:
    """The grammar of a JSON schema in EBNF. Raises `RuntimeError` for a schema that xgrammar cannot keep to."""
    import xgrammar

    return str(xgrammar.Grammar.from_json_schema(schema, max_whitespace_cnt=MAX_BLANKS))


class Grammars:
    """Compiled grammars of one tokenizer."""

    def __init__(self, tokenizer: Any, vocabulary: int, stop_ids: Sequence[int]) -> None:
        """Raises `StructuredError` where xgrammar is not installed."""
        try:
            import xgrammar
        except ImportError as error:
            raise StructuredError("structured output needs the package xgrammar; run `collegium setup`") from error
        self._vocabulary = vocabulary
        self._stops = list(stop_ids)
        info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=vocabulary, stop_token_ids=self._stops)
        self._compiler = xgrammar.GrammarCompiler(info)

    def constraint(self, structured: str) -> Constraint:
        """A fresh constraint for one reply. Raises `StructuredError` for what cannot be kept to."""
        import xgrammar

        kind, value = parse_structured(structured)
        try:
            if kind == "json":
                compiled = self._compiler.compile_json_schema(json.dumps(value), max_whitespace_cnt=MAX_BLANKS)
            elif kind == "regex":
                compiled = self._compiler.compile_regex(value)
            else:
                choices = " | ".join(json.dumps(choice, ensure_ascii=False) for choice in value)
                compiled = self._compiler.compile_grammar(f"root ::= {choices}")
        except (RuntimeError, ValueError) as error:
            raise StructuredError(f"structured output: {error}") from error
        return Constraint(xgrammar.GrammarMatcher(compiled, override_stop_tokens=self._stops), self._vocabulary)


class Constraint:
    """Where one reply stands in its grammar."""

    def __init__(self, matcher: Any, vocabulary: int) -> None:
        import xgrammar

        self._matcher = matcher
        self._mask = xgrammar.allocate_token_bitmask(1, vocabulary)

    def mask(self, logits: torch.Tensor) -> None:
        """Set the logits (1, vocabulary) of tokens that may not come to minus infinity."""
        import xgrammar

        self._matcher.fill_next_token_bitmask(self._mask)
        xgrammar.apply_token_bitmask_inplace(logits, self._mask.to(logits.device))

    def accept(self, token: int) -> None:
        """Move the grammar on by one token."""
        self._matcher.accept_token(token)
