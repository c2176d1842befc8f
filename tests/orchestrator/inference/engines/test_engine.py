"""What every engine shares: a bad request fails alone. The protocol itself is held by test_conformance.py."""

from __future__ import annotations

import pytest

from orchestrator.errors import CollegiumError, PromptTooLong, RequestError
from orchestrator.inference.engines.engine import rejected
from orchestrator.inference.request import Request, Sampling

REQUEST = Request("k", "a", (), Sampling())


@pytest.mark.parametrize("error", [PromptTooLong("too long"), ValueError("a strange template\nof two lines")])
def test_whatever_a_request_leads_to_is_an_error_of_that_request(error: Exception) -> None:
    delta = rejected(REQUEST, error)
    assert (delta.key, delta.last) == ("k", True)
    assert isinstance(delta.error, CollegiumError)
    assert str(error).splitlines()[0] in str(delta.error)
    assert isinstance(delta.error, type(error) if isinstance(error, CollegiumError) else RequestError)
