"""Requests as real clients send them: each is answered, whole and streamed, or refused by the name of a field."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.scripts.client_requests import ROWS, Row

STREAMED = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages")


async def asked(client: httpx.AsyncClient, row: Row, stream: bool) -> list[str]:
    """What is wrong with the answer to a row."""
    name, path, fields, status, named = row
    body = {"model": "words", **fields} | ({"stream": True} if stream and "stream" not in fields else {})
    answer = await client.post(path, json=body)
    label = f"{path} {name}{' (streamed)' if stream else ''}: {answer.status_code} {answer.text[:200]}"
    if answer.status_code != status:
        return [label]
    if status != 200:
        error = answer.json()["error"]
        by_name = named in error["message"] and "\n" not in error["message"]
        return [] if by_name and (error["param"] or status == 404) else [label]
    if body.get("stream"):
        ends = "message_stop" if path.endswith("/messages") else "response." if path.endswith("responses") else "[DONE]"
        return (
            []
            if ends in answer.text.splitlines()[-2] and '"error"' not in answer.text.replace('"error": null', "")
            else [label]
        )
    return [] if "error" not in answer.json() or answer.json()["error"] is None else [label]


@pytest.mark.parametrize("stream", [False, True])
async def test_every_request_is_answered_or_refused_by_name(client: httpx.AsyncClient, stream: bool) -> None:
    rows = [row for row in ROWS if not stream or row[1] in STREAMED]
    assert len(rows) > 100
    wrong = [line for row in rows for line in await asked(client, row, stream)]
    assert wrong == [], "\n".join(wrong)


def test_no_row_stands_twice() -> None:
    bodies = [json.dumps([path, fields], sort_keys=True) for _, path, fields, _, _ in ROWS]
    assert len(set(bodies)) == len(bodies) > 150


async def test_a_client_that_asks_otherwise_is_helped(client: httpx.AsyncClient) -> None:
    typed = {"Content-Type": "application/json"}
    chat = b'{"model": "words", "messages": [{"role": "user", "content": "a"}]}'
    form = {"Content-Type": "application/x-www-form-urlencoded"}  # curl -d without a header
    helped: list[tuple[str, str, dict[str, Any], int, str]] = [
        ("POST", "/v1/chat/completions", {"content": chat, "headers": form}, 415, "application/json"),
        ("GET", "/v1/chat/completions", {}, 405, "POST"),
        ("POST", "/v1/chat/completion", {"content": chat}, 404, "/v1/chat/completions"),
        ("POST", "/v1/chat", {"content": chat}, 404, "/v1/"),
        ("POST", "/api/chat", {"content": chat}, 404, "/openapi.json"),
        ("POST", "/v1/chat/completions", {"content": chat}, 415, "Content-Type"),
        ("POST", "/v1/chat/completions", {"content": chat[:-1], "headers": typed}, 400, "JSON"),
        ("POST", "/v1/chat/completions", {"content": b"", "headers": typed}, 400, "body"),
        ("POST", "/v1/chat/completions", {}, 400, "body"),
        ("POST", "/v1/chat/completions", {"content": b'"' + chat + b'"', "headers": typed}, 400, "JSON"),
        ("POST", "/v1/files", {"json": {"file": "a"}}, 400, "file"),
        ("POST", "/v1/files", {"data": {"purpose": "batch"}}, 400, "file"),
    ]
    for method, path, content, status, named in helped:
        answer = await client.request(method, path, **content)
        assert answer.status_code == status, (path, answer.text)
        assert named in answer.json()["error"]["message"], answer.text
    for path in ("/v1/chat/completions/", "/chat/completions", "/chat/completions/"):
        assert (await client.post(path, content=chat, headers=typed)).status_code == 200, path
    for kind in ("application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.api+json"):
        answer = await client.post("/v1/chat/completions", content=chat, headers={"Content-Type": kind})
        assert answer.status_code == 200, (kind, answer.text)
