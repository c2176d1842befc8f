"""Clients that do not read beside clients that do: how much throughput the honest ones lose.

    python -m benchmarks.slow_readers [--seconds 12] [--pairs 5]

Honest clients ask for a streamed reply, read it, ask again. A slow reader asks for a stream that is larger than what
sockets hold, reads its status line and nothing more; it is not cut off here (`service.send_seconds`), so that all of
them hold a place all the time. Scripted experts, so that the endpoint is measured and no model. Periods without and
with the slow readers alternate; the median of their ratios counts.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import statistics
import sys
import time
from urllib.parse import urlsplit

from benchmarks.machine import conditions, write_result
from benchmarks.served import metric, served

SCRIPT = """
def talk(messages, seed):
    if messages[-1][1] == "huge":
        return " ".join("x" * 130_000 for n in range(40))
    return " ".join(f"w{n}" for n in range(16))
"""
LIMIT = 0.95


def settled(url: str, readers: int) -> None:
    """Wait until all that the slow readers asked for has been generated. Raises `SystemExit` unless each of them still
    holds a place then."""
    time.sleep(2)
    while metric(url, "collegium:num_requests_running") + metric(url, "collegium:num_requests_waiting"):
        time.sleep(0.2)
    if (holding := metric(url, "collegium:num_chats")) < readers:
        raise SystemExit(f"only {holding:.0f} of {readers} slow readers hold a place")


def request(port: int, text: str) -> bytes:
    asked = {"model": "talk", "stream": True, "messages": [{"role": "user", "content": text}]}
    asked["temperature"] = 0 if text == "huge" else 1  # the huge reply is generated once
    body = json.dumps(asked).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def honest(port: int, counts: list[int]) -> None:
    """Ask, read to the end, ask again, over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while True:
            writer.write(request(port, "honest"))
            text = await reader.readuntil(b"\r\n\r\n")
            text += await reader.readuntil(b"\r\n0\r\n\r\n")  # the end of a chunked body
            assert b" 200 OK" in text[:20], text
            assert b"[DONE]" in text, text[-300:]
            counts[0] += 1
    finally:
        writer.close()


async def slow(port: int) -> None:
    """Ask, read the status line, and nothing more."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # before it connects
    connection.connect(("127.0.0.1", port))
    connection.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=connection, limit=1024)
    try:
        writer.write(request(port, "huge"))
        await reader.readline()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()
    finally:
        writer.close()


async def period(port: int, clients: int, readers: int, seconds: float) -> float:
    """Replies per second of the honest clients. Raises `SystemExit` unless all slow readers hold a place."""
    counts = [0]
    tasks = [asyncio.create_task(slow(port)) for _ in range(readers)]
    if readers:
        await asyncio.to_thread(settled, f"http://127.0.0.1:{port}", readers)
    tasks += [asyncio.create_task(honest(port, counts)) for _ in range(clients)]
    try:
        await asyncio.sleep(1)
        before, began = counts[0], time.perf_counter()
        await asyncio.sleep(seconds)
        found = (counts[0] - before) / (time.perf_counter() - began)
        failed = [task for task in tasks if task.done()]
        if failed:
            failed[0].result()
        return found
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(BaseException):
            await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--clients", type=int, default=200)
    asked = parser.parse_args()
    before = conditions()
    experts = {"talk": {"script": "scripts:talk", "context": 200_000}}
    workers = {"engine": "scripted", "in_process": True}
    config = {
        "experts": experts,
        "workers": workers,
        "service": {"log": "none", "max_wait": 3600, "send_seconds": 3600},
    }
    pairs = []
    with served(config, {"scripts.py": SCRIPT}) as url:
        port = urlsplit(url).port or 0
        asyncio.run(period(port, asked.clients, 0, 2))
        for number in range(asked.pairs):
            order = (0, asked.clients) if number % 2 == 0 else (asked.clients, 0)
            found = {readers: asyncio.run(period(port, asked.clients, readers, asked.seconds)) for readers in order}
            pairs.append((found[0], found[asked.clients]))
            print(f"alone {found[0]:.0f}/s, beside slow readers {found[asked.clients]:.0f}/s", flush=True)
        left = metric(url, "collegium:num_chats")
    ratio = statistics.median(beside / alone for alone, beside in pairs)
    rows = [
        ("honest clients alone", f"{statistics.median(one for one, _ in pairs):.0f} replies per second", ""),
        (f"beside {asked.clients} slow readers", f"{statistics.median(two for _, two in pairs):.0f} per second", ""),
        ("ratio, median of the pairs", f"{ratio:.3f}", f"at least {LIMIT}"),
        ("chats under way at the end", f"{left:.0f}", "0"),
    ]
    write_result("slow_readers", "Slow readers beside honest clients", rows, {"conditions": before, "pairs": pairs})
    return int(ratio < LIMIT or left > 0)


if __name__ == "__main__":
    sys.exit(main())
