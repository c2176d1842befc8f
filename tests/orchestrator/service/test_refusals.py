"""Experts on servers that misbehave, as a client and an operator see it: one expert, `mixture`, a vote, a discussion;
streamed and whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator import errors
from orchestrator.service import refusals


@pytest.mark.parametrize("kind", list(errors.every_error()), ids=lambda kind: kind.__name__)
def test_every_error_has_a_status_a_code_and_words_for_a_client(kind: type[errors.CollegiumError]) -> None:
    error = kind("http://10.0.0.7: /root/secret: what the upstream said")
    status, body, headers = refusals.of(error)
    assert status == kind.status
    assert body["error"]["code"]
    assert "/root/secret" not in body["error"]["message"]
    if kind.words is not None:
        assert "10.0.0.7" not in body["error"]["message"]
    assert ("Retry-After" in headers) == kind.retry
    assert kind.exit_code in (1, 2)


def test_the_page_of_errors_shows_the_table() -> None:
    page = (Path(__file__).parents[3] / "docs" / "errors.md").read_text()
    for kind in errors.every_error():
        again = "yes" if kind.retry else "no"
        elsewhere = "yes" if kind.elsewhere else "no"
        row = f"| `{kind.__name__}` | {kind.status} | `{kind.code}` | {kind.exit_code} | {again} | {elsewhere} |"
        assert row in page, row


USER = [{"role": "user", "content": "Which word?"}]


async def post(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await client.post("/v1/chat/completions", json={"model": "words", "messages": USER, **body})


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"model": "nobody"}, 404, "does not exist"),
        ({"messages": []}, 400, "messages"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            400,
            "images",
        ),
        ({"n": 0}, 400, "n: "),
        ({"n": 10**30}, 400, "n: "),
        ({"temperature": "hot"}, 400, "temperature"),
        ({"top_logprobs": 2}, 400, "logprobs"),
        ({"frequency_penalty": 3}, 400, "frequency_penalty"),
        ({"surprise": 1}, 400, "surprise"),
        ({"response_format": {"type": "json_schema"}}, 400, "json_schema"),
        ({"tools": [{"type": "function"}]}, 400, "tools"),
        ({"model": "vote", "ignore_eos": True}, 400, "ignore_eos"),
        ({"messages": [{"role": "user", "content": "w " * 3000}]}, 400, "too long"),
        ({"messages": [{"role": "user", "content": "fail"}]}, 503, "the expert failed"),
        ({"model": "mixture"}, 409, "no profile"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_refusals_have_openais_form(
    client: httpx.AsyncClient, body: dict[str, Any], status: int, told: str, stream: bool
) -> None:
    response = await post(client, stream=stream, **body)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert told in error["message"]
    assert "/etc" not in response.text
    assert response.headers["x-request-id"].startswith("req-")
