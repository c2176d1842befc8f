"""The application: paths as people write them, and what to do about others."""

from __future__ import annotations

import httpx
import pytest

CHAT = {"model": "words", "messages": [{"role": "user", "content": "Which word?"}]}


async def test_paths_are_found_as_people_write_them(client: httpx.AsyncClient) -> None:
    for path in ("/v1/chat/completions", "/chat/completions", "/v1/chat/completions/", "/chat/completions/"):
        assert (await client.post(path, json=CHAT)).status_code == 200, path
    for path in ("/models", "/v1/models/", "/models/words", "/v1/models/words/"):
        assert (await client.get(path)).status_code == 200, path
    head = await client.head("/v1/models")
    assert (head.status_code, head.content) == (200, b"")


async def test_unknown_paths_and_methods_say_what_to_do(client: httpx.AsyncClient) -> None:
    missing = await client.post("/v1/chat/completion", json=CHAT)
    assert (missing.status_code, missing.json()["error"]["type"]) == (404, "not_found_error")
    assert "did you mean /v1/chat/completions?" in missing.json()["error"]["message"]
    for path in ("/v1/chat/completions", "/chat/completions"):
        wrong = await client.get(path)
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
        assert wrong.json()["error"]["message"] == "/v1/chat/completions is not for GET; use POST"


async def test_options_says_which_methods_a_path_has(client: httpx.AsyncClient) -> None:
    for path, methods in (("/v1/models", "OPTIONS, GET"), ("/chat/completions/", "OPTIONS, POST")):
        answer = await client.options(path)
        assert (answer.status_code, answer.headers["allow"], answer.text) == (204, methods, "")
    assert (await client.options("/v1/nothing")).status_code == 404


@pytest.mark.parametrize(
    "content", [b"", b"null", b"[]", b"5", b"{", b"[" * 100_000, b"\xff"], ids=lambda raw: str(raw[:9])
)
async def test_a_body_that_is_none_is_refused_in_words(client: httpx.AsyncClient, content: bytes) -> None:
    answer = await client.post("/v1/chat/completions", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("the request's body: ")
    assert answer.json()["error"]["param"] is None


async def test_null_means_absent_in_every_body(client: httpx.AsyncClient) -> None:
    row = {"input": "a", "encoding_format": None, "dimensions": None, "user": None}
    assert (await client.post("/v1/embeddings", json={"model": "embedder", **row})).status_code == 200
    missing = await client.post("/v1/embeddings", json={"model": "embedder", "input": None})
    assert (missing.status_code, missing.json()["error"]["param"]) == (400, "input")
