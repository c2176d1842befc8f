"""What every engine shares: a bad request fails alone. The protocol itself is held by test_conformance.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.errors import CollegiumError, PromptTooLong, RequestError
from orchestrator.inference.engines.engine import rejected
from orchestrator.inference.engines.schema import StructuredError
from orchestrator.inference.request import Request, Sampling

REQUEST = Request("k", "a", (), Sampling())


@pytest.mark.parametrize("error", [PromptTooLong("too long"), ValueError("a strange template\nof two lines")])
def test_whatever_a_request_leads_to_is_an_error_of_that_request(error: Exception) -> None:
    delta = rejected(REQUEST, error)
    assert (delta.key, delta.last) == ("k", True)
    assert isinstance(delta.error, CollegiumError)
    assert str(error).splitlines()[0] in str(delta.error)
    assert isinstance(delta.error, type(error) if isinstance(error, CollegiumError) else RequestError)


def test_a_refusal_begins_with_the_field_and_holds_no_class_of_ours() -> None:
    class Refusal(ValueError):  # as vLLM's
        parameter = "logit_bias"

    for error, text in (
        (Refusal("out of\nvocabulary"), "logit_bias: out of vocabulary"),
        (StructuredError("structured output: no"), "response_format: no"),
        (ValueError("Grammar error: no"), "response_format: Grammar error: no"),
        (ValueError("plainly no"), "plainly no"),
        (KeyError(), "KeyError"),
    ):
        assert str(rejected(REQUEST, error).error) == text


def test_the_paper_model_of_a_swap_adds_up() -> None:
    """docs/concepts/swapping.md: seconds are 16 GB over the bandwidth of their row."""
    page = (Path(__file__).parents[4] / "docs/concepts/swapping.md").read_text()
    rows = re.findall(r"^\| ([^|]*(?:memory|NVMe)[^|]*) \| (\d+) \| ([\d.]+) \|$", page, re.MULTILINE)
    assert len(rows) == 5
    for where, bandwidth, seconds in rows:
        assert float(seconds) == round(16 / float(bandwidth), 2), where
