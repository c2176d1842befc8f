"""Requests of jobs: checked, and without files or code that a client may not have the server use."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.collegium import Collegium
from orchestrator.errors import BadInput
from orchestrator.service.pipelines import parse


@pytest.fixture
def collegium(settings: dict[str, Any]) -> Collegium:
    return Collegium(settings)


def test_a_plain_request_is_checked_and_typed(collegium: Collegium) -> None:
    pipeline, request = parse("profile", {"task": "coin_flip", "questions": 3}, collegium)
    assert (pipeline.name, type(request), request.questions) == ("profile", pipeline.request, 3)  # type: ignore[attr-defined]
    with pytest.raises(BadInput, match="request: questions"):
        parse("profile", {"questions": 0}, collegium)
    with pytest.raises(BadInput, match="no pipeline"):
        parse("fly", {}, collegium)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"task": "/etc/passwd"}, "this service knows the tasks"),
        ({"task": "coin_flip,hf:x"}, "this service knows the tasks"),
        ({"task": "os:system"}, "does not let clients name code"),
        ({"experts": ["words", "a.b:c"]}, "does not let clients name code"),
        ({"out": "table.jsonl"}, "does not let clients name files"),
        ({"experts": ["../words"]}, "does not let clients name files or URLs"),
        ({"experts": ["~/words"]}, "does not let clients name files or URLs"),
        ({"experts": ["x" * 20_000]}, "longer than 10000 characters"),
    ],
)
def test_files_urls_and_code_are_refused_wherever_they_stand(
    collegium: Collegium, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        parse("profile", given, collegium)


def test_files_may_be_named_where_the_configuration_says_so_and_code_never(settings: dict[str, Any]) -> None:
    settings["service"]["paths"] = True
    assert parse("profile", {"task": "mine.jsonl"}, Collegium(settings))
    with pytest.raises(BadInput, match="does not let clients name code"):
        parse("profile", {"task": "os:system"}, Collegium(settings))
