"""The application: paths as people write them, and what to do about others."""

from __future__ import annotations

import httpx

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
