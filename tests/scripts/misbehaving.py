"""A server of chat completions that misbehaves as the model's name says. It writes its own HTTP, so that it can break
HTTP too. `with misbehaving() as server`: in this process; `python -m tests.scripts.misbehaving PORT`: on its own."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import gzip
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

from tests.scripts.odd_replies import REPLIES

WORDS = "The answer stands here .\nAnswer: yes\nConfidence: 0.9"
COST = 0.0125
USAGE = {
    "prompt_tokens": 40,
    "completion_tokens": 9,
    "prompt_tokens_details": {"cached_tokens": 32},
    "completion_tokens_details": {"reasoning_tokens": 2},
    "cost": COST,
}
BOMB = gzip.compress(b" " * 2**25, 1)
STATUSES = {
    "bad-request": (400, "Unknown parameter: 'seed'."),
    "never-renamed": (400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
    "bad-key": (401, "wrong key"),
    "unpaid": (402, "pay first"),
    "forbidden": (403, "not for you"),
    "gone": (404, "no model of that name"),
    "slow-client": (408, "too slow"),
    "too-large": (413, "request entity too large"),
    "too-long": (400, "This model's maximum context length is 100 tokens"),
    "filtered": (400, "blocked by the content_filter"),
    "limited": (429, "slow down"),
    "limited-long": (429, "come back tomorrow"),
    "no-quota": (429, "You exceeded your current quota, insufficient_quota"),
    "broken": (500, "secret stack trace at http://10.0.0.7/internal"),
    "bad-gateway": (502, "bad gateway"),
    "restarting": (503, "restarting"),
    "late": (504, "gateway timeout"),
    "overloaded": (529, "swamped with work"),
}
HEADERS = {
    "limited": {"Retry-After": "1"},
    "limited-long": {"Retry-After": "3600"},
    "restarting": {"Retry-After": email.utils.formatdate(time.time() + 7200, usegmt=True)},
}


class Misbehaving:
    """`url` is its base URL, `asked` counts requests by model, `bodies` are the last of each model's."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.bodies: dict[str, dict[str, Any]] = {}
        self.heads: dict[str, dict[str, str]] = {}
        self.delay = 0.0
        """Seconds before each good reply begins."""
        self.pause = 0.4
        """Seconds between the words of the model `slow`."""
        self.url = ""

    async def serve(self, port: int = 0) -> asyncio.Server:
        server = await asyncio.start_server(self._talk, "127.0.0.1", port, limit=2**22)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        return server

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                fields = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
                body = json.loads(await reader.readexactly(int(fields.get("content-length", 0))) or b"{}")
                if head[0].startswith("GET"):
                    names = [{"id": name} for name in ("fine", "broken")]
                    await _send(writer, 200, json.dumps({"data": names, "asked": self.asked}).encode())
                    continue
                model = body["model"].partition("/")[0]
                self.asked[model] += 1
                self.bodies[model], self.heads[model] = body, fields
                if not await self._misbehave(model, body, writer):
                    break
                await writer.drain()

    async def _misbehave(self, model: str, body: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection may go on."""
        if model in REPLIES:
            writer.write(REPLIES[model])
            await writer.drain()
            return False
        if model in STATUSES:
            status, message = STATUSES[model]
            error = {"error": {"message": message, "type": "some_error", "code": None}}
            await _send(writer, status, json.dumps(error).encode(), HEADERS.get(model, {}))
            return True
        if model == "once" and self.asked[model] == 1:
            await _send(writer, 429, b"{}", {"Retry-After": "0.1"})
            return True
        if model == "renames" and "max_tokens" in body:
            message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            await _send(writer, 400, json.dumps({"error": {"message": message}}).encode())
            return True
        if model == "fixed-temperature" and body.get("temperature", 1) != 1:
            message = "Unsupported value: 'temperature' does not support 0 with this model."
            await _send(writer, 400, json.dumps({"error": {"message": message}}).encode())
            return True
        if model == "short-replies" and body.get("max_tokens", 0) > 4096:
            await _send(writer, 400, b'{"error": {"message": "max_tokens is too large: at most 4096"}}')
            return True
        if model == "reset":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-ty")
            await writer.drain()
            writer.transport.abort()
            return False
        if model == "redirect":
            await _send(writer, 302, b"", {"Location": "http://127.0.0.1:9/elsewhere"})
            return True
        plain = {
            "html": b"<html><body>gateway</body></html>",
            "half-json": b'{"choices": [{"message": {"content": "ha',
            "not-text": b'{"choices": [{"message": {"content": "\xff\xfe"}}]}',
            "no-choices": b'{"choices": []}',
            "list": b"[1, 2]",
            "error-200": b'{"error": {"message": "it broke", "code": 500}}',
            "whole": json.dumps(
                {"choices": [{"message": {"content": WORDS}, "finish_reason": "stop"}], "usage": USAGE}
            ).encode(),
        }
        if model in plain:
            await _send(writer, 200, plain[model], {"Content-Type": "text/html" if model == "html" else "a/b"})
            return True
        if model == "bomb":
            await _send(writer, 200, BOMB, {"Content-Encoding": "gzip"})
            return True
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        if model == "pings":
            for _ in range(600):
                writer.write(b"7\r\n: ping\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.2)
        if model in ("hang", "hang-head"):
            await writer.drain()
            await asyncio.sleep(600)
        if self.delay:
            await asyncio.sleep(self.delay)
        async for piece in _stream(model, body, self.pause):
            if piece is None:
                await writer.drain()
                writer.transport.abort()
                return False
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        return True


async def _stream(model: str, body: dict[str, Any], pause: float) -> AsyncIterator[bytes | None]:
    """Events; None: the connection is cut here."""

    def event(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return f"data: {json.dumps({'choices': [choice], **more})}\n\n".encode()

    yield b": welcome\n\n"
    yield event({"role": "assistant", "content": ""})
    if model == "role-only":
        yield event({}, "stop")
        yield b"data: [DONE]\n\n"
        return
    if model == "huge-line":
        yield b"data: " + b"x" * 2**25 + b"\n\n"
    if model == "thinks":
        yield event({"reasoning_content": "let me see "})
    if body.get("tools") and model in ("fine", "two-tools", "tool-cut"):
        for number in range(2 if model == "two-tools" else 1):
            call = {"index": number, "id": "same", "function": {"name": "look", "arguments": '{"n":'}}
            yield event({"tool_calls": [call]})
            rest = "" if model == "tool-cut" else f" {number}}}"
            yield event({"tool_calls": [{"index": number, "function": {"arguments": rest}}]})
        yield event({}, "tool_calls")
        yield b"data: [DONE]\n\n"
        return
    words = WORDS.split(" ")
    for place, word in enumerate(words):
        if model == "slow":
            await asyncio.sleep(pause)
        if model == "cut" and place == 2:
            yield None
            return
        if model == "error-event" and place == 2:
            yield b'data: {"error": {"message": "lost the worker"}}\n\n'
            return
        if model == "stops" and place == 2:
            return
        yield event({"content": word if place == len(words) - 1 else f"{word} "})
    finish = {"cut-by-rules": "content_filter", "unknown-finish": "eos_token", "null-finish": None}.get(model, "stop")
    yield event({}, finish)
    usage = {**USAGE, "completion_tokens": -5} if model == "negative-usage" else USAGE
    if model != "no-usage":
        yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n".encode()
    if model != "no-done":
        yield b"data: [DONE]\n\n"


async def _send(writer: asyncio.StreamWriter, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
    lines = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    writer.write(f"HTTP/1.1 {status} Status\r\n{head}\r\n".encode() + body)
    await writer.drain()


@contextlib.contextmanager
def misbehaving() -> Iterator[Misbehaving]:
    """The server on a thread of this process."""
    server, loop = Misbehaving(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    listening = asyncio.run_coroutine_threadsafe(server.serve(), loop).result(10)

    async def end() -> None:
        listening.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.05)  # what was closed is gone

    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def main() -> None:
    server = Misbehaving()
    server.delay = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    listening = await server.serve(int(sys.argv[1]))
    async with listening:
        await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
