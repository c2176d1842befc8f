"""Clients that take their time with a request's head, or never stop sending it, are cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from orchestrator.service.connections import MAX_HEAD, bounded_protocol

HEAD_SECONDS = 0.2
MAX_BODY = 1000
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def app(scope: object, receive: object, send: object) -> None:
    """Answers after the whole body, which takes a while."""
    assert callable(receive)
    assert callable(send)
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(2 * HEAD_SECONDS)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    protocol = bounded_protocol(HEAD_SECONDS, MAX_BODY)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off", http=protocol))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


@contextlib.asynccontextmanager
async def connection(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**26)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_client_that_says_nothing_is_cut(port: int) -> None:
    async with connection(port) as (reader, _):
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_a_client_that_dribbles_is_cut(port: int) -> None:
    async with connection(port) as (reader, writer):
        reading = asyncio.create_task(reader.read())
        for byte in GET[:-2] * 10:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.02)
            if reading.done():
                break
        assert reading.done()


async def test_a_head_without_end_is_cut(port: int) -> None:
    async with connection(port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n" + b"a: " + b"b" * (MAX_HEAD + 1))
        with contextlib.suppress(ConnectionError):
            assert b" 200 " not in await asyncio.wait_for(reader.read(), 5)


async def test_slow_answers_and_later_requests_are_no_reason(port: int) -> None:
    async with connection(port) as (reader, writer):
        for _ in range(2):
            writer.write(GET)
            assert (await asyncio.wait_for(reader.readuntil(b"ok"), 5)).startswith(b"HTTP/1.1 200")
        # The next one begins, and does not go on.
        writer.write(GET[:9])
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_what_follows_a_request_that_is_answered_is_bounded(port: int) -> None:
    async with connection(port) as (reader, writer):
        writer.write(GET + b"GET / HTTP/1.1\r\n" + b"a: " + b"b" * (MAX_HEAD + 3 * MAX_BODY))
        with contextlib.suppress(ConnectionError):
            assert b" 200 " not in await asyncio.wait_for(reader.read(), 5)


async def flood(scope: object, receive: object, send: Any) -> None:
    """Sends more than sockets hold, and says when it could."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(400):
        await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


@contextlib.asynccontextmanager
async def flooding() -> AsyncIterator[tuple[int, uvicorn.Server]]:
    protocol = bounded_protocol(5, MAX_BODY, send_seconds=0.5)
    server = uvicorn.Server(uvicorn.Config(flood, port=0, log_config=None, lifespan="off", http=protocol))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1], server
    server.should_exit = True
    await serving


async def test_a_client_that_does_not_read_is_cut_and_one_that_reads_is_not() -> None:
    async with flooding() as (port, server), connection(port) as (_, deaf), connection(port) as (reader, writer):
        deaf.transport.pause_reading()  # type: ignore[attr-defined]
        deaf.write(GET)
        writer.write(GET)
        assert len(await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 30)) > 400 * 100_000
        for _ in range(1000):
            if not server.server_state.tasks:
                break
            await asyncio.sleep(0.02)
        assert not server.server_state.tasks, "the response to the client that does not read has been given up"
