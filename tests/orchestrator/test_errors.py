"""Errors: what each means to a client, across processes, and which one speaks for many."""

from __future__ import annotations

import json
import pickle
import sys
from typing import NoReturn

import click
import httpx
import pytest

from orchestrator import cli, errors
from orchestrator.client import RemoteCollegium
from orchestrator.errors import (
    CollegiumError,
    ExpertFailed,
    NoAnswer,
    Overloaded,
    PromptTooLong,
    RateLimited,
    no_answer,
)
from orchestrator.service import refusals

EVERY = list(errors.every_error())


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_each_travels_between_processes_with_all_that_it_says(kind: type[CollegiumError]) -> None:
    error = kind("what, where, what to do", retry_after=7.0)
    found = pickle.loads(pickle.dumps(error))
    assert (type(found), str(found), found.retry_after) == (kind, str(error), 7.0)
    other = error.with_message("other words")
    assert (type(other), str(other), other.retry_after) == (kind, "other words", 7.0)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = (errors.__doc__ or "").replace("│", " ").replace("├──", " ").replace("└──", " ").split("\n\n")
    names = {line.split()[0] for part in drawn for line in part.splitlines() if line.strip()}
    assert {kind.__name__ for kind in EVERY} <= names


@pytest.mark.parametrize(("retry_after", "wait"), [(0.2, 1), (7.2, 8), (1e9, 86_400)])
def test_a_client_waits_whole_seconds_within_bounds(retry_after: float, wait: int) -> None:
    assert Overloaded("busy", retry_after).wait == wait
    assert PromptTooLong("long").wait is None


def test_where_all_failed_the_callers_own_mistake_is_said_as_one() -> None:
    assert isinstance(no_answer({"a": PromptTooLong("x"), "b": PromptTooLong("y")}), PromptTooLong)
    assert isinstance(no_answer({}), NoAnswer)
    busy = no_answer({"a": Overloaded("x", 9.0), "b": Overloaded("y", 3.0)})
    assert (type(busy), busy.retry_after) == (Overloaded, 3.0)
    mixed = no_answer(
        {"a": PromptTooLong("long"), "b": RateLimited("slow", retry_after=5.0), "c": ExpertFailed("gone")}
    )
    assert isinstance(mixed, NoAnswer)
    assert "a: PromptTooLong: long; b: RateLimited: slow; c: ExpertFailed: gone" in str(mixed)
    assert mixed.retry_after == 5.0


TABLE = {
    # class: (HTTP status, code, exit code, Retry-After, another expert helps, what a connected SDK raises)
    "CollegiumError": (500, "failed", 1, False, False, "CollegiumError"),
    "BadInput": (400, "bad_input", 2, False, False, "BadInput"),
    "ConfigError": (400, "bad_input", 2, False, False, "BadInput"),
    "ExpertError": (503, "expert_unavailable", 2, False, True, "ExpertError"),
    "RequestError": (400, "bad_request", 1, False, True, "RequestError"),
    "PromptTooLong": (400, "context_length_exceeded", 1, False, True, "PromptTooLong"),
    "Cancelled": (499, "cancelled", 1, False, False, "Cancelled"),
    "ExpertFailed": (503, "expert_failed", 1, True, True, "ExpertFailed"),
    "ExpertUnavailable": (503, "expert_unavailable", 1, True, True, "ExpertUnavailable"),
    "StreamBroken": (503, "worker_lost", 1, True, False, "StreamBroken"),
    "Unreachable": (502, "upstream_unreachable", 1, True, True, "Unreachable"),
    "UpstreamTimeout": (504, "upstream_timeout", 1, True, True, "UpstreamTimeout"),
    "UpstreamError": (502, "upstream_error", 1, True, True, "UpstreamError"),
    "UpstreamBusy": (503, "upstream_busy", 1, True, True, "UpstreamBusy"),
    "UpstreamRefused": (502, "upstream_refused", 1, False, True, "UpstreamRefused"),
    "RateLimited": (429, "rate_limit_exceeded", 1, True, True, "RateLimited"),
    "ContentFiltered": (400, "content_filter", 1, False, True, "ContentFiltered"),
    "NoAnswer": (503, "no_expert_answered", 1, True, True, "NoAnswer"),
    "NotScored": (500, "not_scored", 1, False, False, "NotScored"),
    "BudgetExceeded": (429, "budget_exceeded", 1, False, False, "BudgetExceeded"),
    "NotReady": (409, "not_ready", 1, False, False, "NotReady"),
    "Overloaded": (429, "overloaded", 1, True, True, "Overloaded"),
    "StorageError": (507, "storage_failed", 1, False, False, "StorageError"),
    "SetupError": (503, "not_installed", 1, False, False, "SetupError"),
}
CALLERS = (
    *("BadInput", "ConfigError", "RequestError", "PromptTooLong", "Cancelled", "NotScored"),
    *("BudgetExceeded", "NotReady"),
)
"""Their message is about the client's own request, and is what the client reads."""
MESSAGE = "http://10.0.0.7/internal: what the upstream said"


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_each_row_of_the_table(
    kind: type[CollegiumError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, code, exit_code, retry, elsewhere, raised = TABLE[kind.__name__]
    error = kind(MESSAGE, retry_after=7.0)
    assert (error.elsewhere, error.retry) == (elsewhere, retry)
    # HTTP: status, code, Retry-After, words
    found, body, headers = refusals.of(error)
    assert (found, body["error"]["code"], headers.get("Retry-After")) == (status, code, "7" if retry else None)
    assert (MESSAGE in body["error"]["message"]) == (kind.__name__ in CALLERS)
    # the SDK of a client elsewhere
    monkeypatch.setattr("orchestrator.client.TRIES", 1)
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json=body, headers=dict(headers)))
    with pytest.raises(CollegiumError) as caught:
        RemoteCollegium("http://service", transport=transport).models()
    assert type(caught.value).__name__ == raised
    assert caught.value.retry_after == (7.0 if retry else None)
    # the command line

    @click.command()
    def command() -> NoReturn:
        raise error

    monkeypatch.setattr(cli.LazyGroup, "get_command", lambda *_: command)
    monkeypatch.setattr(sys, "argv", ["collegium", "table"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == exit_code
    assert capsys.readouterr().err == f"collegium: {MESSAGE}\n"


def test_a_budget_that_is_spent_is_not_asked_for_again() -> None:
    asked = []

    def serve(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(429, json={"error": {"message": "spent", "code": "budget_exceeded"}})

    with pytest.raises(errors.BudgetExceeded):
        RemoteCollegium("http://service", transport=httpx.MockTransport(serve)).models()
    assert len(asked) == 1


@pytest.mark.parametrize("content", [b"", b"<html>", json.dumps({"error": "text"}).encode(), b"[" * 10_000])
def test_a_proxy_that_answers_for_the_service(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.client.TRIES", 1)
    transport = httpx.MockTransport(lambda _: httpx.Response(503, content=content))
    with pytest.raises(ExpertFailed, match="HTTP 503"):
        RemoteCollegium("http://service", transport=transport).models()
