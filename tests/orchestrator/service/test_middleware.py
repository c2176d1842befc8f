"""Who gets in, and what is never let through: keys, scopes, limits, sizes, slow bodies, foreign hosts."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.errors import ConfigError
from orchestrator.service.keys import KeyFile, Keys
from orchestrator.service.runtime import check_address

JSON = {"Content-Type": "application/json"}
CHAT = {"model": "words", "messages": [{"role": "user", "content": "Which word?"}]}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("how", ["revoked", "deleted", "damaged"])
async def test_a_service_with_keys_never_opens_to_everybody(settings: dict[str, Any], serving: Any, how: str) -> None:
    file = KeyFile(Path(settings["state"]) / "keys.json")
    text, kept = file.create("only")
    async with serving(settings) as client:
        assert (await client.get("/v1/models", headers=bearer(text))).status_code == 200
        if how == "revoked":
            file.revoke(kept.id)
        elif how == "deleted":
            file.path.unlink()
        else:
            file.path.write_text("{")
        await asyncio.sleep(1.1)
        status = 503 if how == "damaged" else 401
        for headers in ({}, bearer(text)):
            for path in ("/v1/models", "/v1/jobs"):
                assert (await client.get(path, headers=headers)).status_code == status
        again, _ = file.create("again") if how != "damaged" else ("", None)
        if how == "damaged":
            file.path.unlink()
            again, _ = file.create("again")
        await asyncio.sleep(1.1)
        assert (await client.get("/v1/models", headers=bearer(again))).status_code == 200
        assert (await client.get("/v1/models", headers=bearer(text))).status_code == 401


@pytest.mark.parametrize(
    ("peer", "status"),
    [
        ("127.0.0.1", 200),
        ("::1", 200),
        ("::ffff:127.0.0.1", 200),
        ("10.1.2.3", 403),
        ("::ffff:10.1.2.3", 403),
        ("x", 403),
    ],
)
async def test_without_keys_the_peers_address_counts(
    settings: dict[str, Any], serving: Any, peer: str, status: int
) -> None:
    async with serving(settings, peer=peer) as client:
        for headers in ({}, {"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"}):
            assert (await client.get("/v1/models", headers=headers)).status_code == status


def test_nobody_else_is_served_without_keys(tmp_path: Path) -> None:
    keys = Keys(KeyFile(tmp_path / "keys.json"))
    check_address("127.0.0.1", keys)
    with pytest.raises(ConfigError, match="no API keys"):
        check_address("0.0.0.0", keys)
    KeyFile(tmp_path / "keys.json").create("someone")
    check_address("0.0.0.0", Keys(KeyFile(tmp_path / "keys.json")))


async def test_only_localhost_is_answered_without_keys(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/models", headers={"Host": "evil.example"})).status_code == 403
    assert (await client.get("/v1/models", headers={"Host": "localhost:8000"})).status_code == 200
    for host in ("testserver", "localhost.evil", "localhost:80@evil", "evil:localhost", "localhost:x", "localhost:"):
        assert (await client.get("/v1/models", headers={"Host": host})).status_code == 403, host


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{", "JSON"),
        (b"\xff\xfe", ""),
        (b'{"model": "\xff"}', ""),
        (b"[" * 100_000, ""),
        (b'{"model": ' * 10_000, ""),
        (b'{"messages": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", ""),
        (b'{"model": "words", "messages": [{"role": "user", "content": "\\ud800"}]}', "Unicode"),
        (b'{"model": "words", "messages": [{"role": "user", "content": "x"}], "temperature": NaN}', "temperature"),
        (b'{"model": "words", "messages": [{"role": "user", "content": "x"}], "seed": 1' + b"0" * 5000 + b"}", ""),
        (b'{"model": "' + b"m" * 10_000 + b'", "messages": [{"role": "user", "content": "x"}]}', "model"),
        (b"null", ""),
        (b"", ""),
    ],
)
async def test_malformed_bodies_are_the_clients_fault(client: httpx.AsyncClient, content: bytes, told: str) -> None:
    response = await client.post("/v1/chat/completions", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 400, response.text
    assert told in response.json()["error"]["message"]
    assert len(response.content) < 2000


async def test_a_body_of_another_type_is_refused(client: httpx.AsyncClient) -> None:
    for kind in ("text/plain", "multipart/form-data", "x"):
        response = await client.post("/v1/chat/completions", content=b'{"a": 1}', headers={"Content-Type": kind})
        assert response.status_code == 415, response.text
        assert "application/json" in response.json()["error"]["message"]


async def test_bodies_are_bounded(settings: dict[str, Any], serving: Any) -> None:
    settings["service"]["body_mib"] = 0.01
    async with serving(settings) as client:
        big = {**CHAT, "messages": [{"role": "user", "content": "x" * 20_000}]}
        assert (await client.post("/v1/chat/completions", json=big)).status_code == 413

        async def chunks() -> Any:
            for _ in range(100):
                yield b" " * 1000

        assert (await client.post("/v1/chat/completions", content=chunks(), headers=JSON)).status_code == 413


def test_slow_bodies_are_cut_off(settings: dict[str, Any], on_socket: Any) -> None:
    settings["service"]["body_seconds"] = 0.3
    with on_socket(settings) as url, socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as raw:
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        raw.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        started = time.monotonic()
        answer = raw.recv(4096)
        assert answer.startswith(b"HTTP/1.1 408")
        assert time.monotonic() - started < 3


async def test_request_ids_are_echoed_or_made(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health", headers={"X-Request-Id": "mine-1"})).headers["x-request-id"] == "mine-1"
    assert (await client.get("/health", headers={"X-Request-Id": "a b"})).headers["x-request-id"] != "a b"


async def test_the_request_log_is_one_json_line(
    settings: dict[str, Any], serving: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings["service"]["log"] = "json"
    with caplog.at_level("INFO", "collegium.requests"):
        async with serving(settings) as client:
            await client.post("/v1/chat/completions", json=CHAT, headers={"X-Request-Id": "r1"})
    (line,) = [json.loads(record.message) for record in caplog.records if record.name == "collegium.requests"]
    assert (line["request_id"], line["status"], line["model"], line["completion_tokens"]) == ("r1", 200, "words", 5)
    assert "Which" not in caplog.text


async def test_pages_of_named_origins_may_use_it(settings: dict[str, Any], serving: Any) -> None:
    KeyFile(Path(settings["state"]) / "keys.json").create("all")
    page = {"Origin": "https://chat.example", "Access-Control-Request-Method": "POST"}
    page["Access-Control-Request-Headers"] = "authorization, content-type"
    async with serving(settings) as client:
        asked = await client.options("/v1/chat/completions", headers=page)
        assert "access-control-allow-origin" not in asked.headers
    settings["service"]["cors"] = ["https://chat.example"]
    async with serving(settings) as client:
        asked = await client.options("/v1/chat/completions", headers=page)
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, "https://chat.example")
        refused = await client.get("/v1/models", headers={"Origin": "https://chat.example"})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "https://chat.example")
        other = await client.get("/v1/models", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


async def test_a_request_that_can_be_read_in_two_ways_is_refused(client: httpx.AsyncClient) -> None:
    for name in ("Authorization", "x-api-key", "api-key", "Host"):
        pairs = [(name, "localhost" if name == "Host" else "Bearer a"), (name, "127.0.0.1")]
        answer = await client.get("/v1/models", headers=pairs)
        assert answer.status_code == 400, (name, answer.text)
        assert name.lower() in answer.json()["error"]["message"]
    for path in ("/v1/files/%00", "/v1/models/a%00b", "/v1/files?after=%00", "/v1/jobs?after=a%00"):
        answer = await client.get(path)
        assert (answer.status_code, "NUL" in answer.text) == (400, True), path


async def test_a_page_behind_nothing_is_no_empty_page(client: httpx.AsyncClient) -> None:
    for path in ("files", "batches", "jobs"):
        assert (await client.get(f"/v1/{path}?after=x-none")).status_code == 404, path
