"""What the scheduler, the ledger and the remote engine add to a remote expert's requests.

    python -m benchmarks.remote_overhead --requests 1000 --at-once 64

One server of this machine (tests/scripts/misbehaving.py, model `fine`), asked directly with httpx and through one URL
expert, in turn, `--pairs` times; every request has a question of its own, and every reply is read to its end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx

from benchmarks.failing import free_port
from benchmarks.machine import conditions, write_result


async def direct(client: httpx.AsyncClient, url: str, count: int, at_once: int, run: str) -> float:
    """Seconds for all requests, with httpx alone."""
    numbers = iter(range(count))

    async def caller() -> None:
        for number in numbers:
            body = {
                "model": "fine",
                "messages": [{"role": "user", "content": f"direct {run} {number}"}],
                "temperature": 0,
                "stream": True,
                "stream_options": {"include_usage": True},
            }
            text = ""
            async with client.stream("POST", f"{url}/chat/completions", json=body) as response:
                async for line in response.aiter_lines():
                    if line.startswith("data: {"):
                        event = json.loads(line[6:])
                        text += event["choices"][0]["delta"].get("content") or "" if event["choices"] else ""
            if not text.endswith("0.9"):
                raise RuntimeError(text)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(at_once)))
    return time.perf_counter() - began


async def ours(collegium: Any, count: int, at_once: int, run: str) -> float:
    """Seconds for all requests, through the expert."""
    from orchestrator.inference.request import Completion, Sampling

    numbers, expert = iter(range(count)), collegium.experts["far"]

    async def caller() -> None:
        for number in numbers:
            request = collegium.pool.request(expert, [("user", f"ours {run} {number}")], Sampling(max_tokens=2**20))
            (outcome,) = await collegium.pool.ask([(request, expert)])
            if not isinstance(outcome, Completion) or not outcome.text.endswith("0.9"):
                raise RuntimeError(repr(outcome))

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(at_once)))
    return time.perf_counter() - began


async def measure(options: argparse.Namespace, url: str, state: Path) -> list[tuple[float, float]]:
    from orchestrator.collegium import Collegium

    expert = {"url": url, "model": "fine", "concurrency": options.at_once}
    pairs = []
    with Collegium({"experts": {"far": expert}, "state": str(state)}) as collegium:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=options.at_once)
        async with httpx.AsyncClient(timeout=60, limits=limits) as client:
            await direct(client, url, options.at_once, options.at_once, "warm")
            await ours(collegium, options.at_once, options.at_once, "warm")
            for pair in range(options.pairs):
                one = await direct(client, url, options.requests, options.at_once, str(pair))
                pairs.append((one, await ours(collegium, options.requests, options.at_once, str(pair))))
                print(pairs[-1], flush=True)
    return pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--delay", type=float, default=0.5, help="Seconds before the server's first token.")
    options = parser.parse_args()
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "tests.scripts.misbehaving", str(port), str(options.delay)])
    try:
        time.sleep(2)
        before = conditions()
        with tempfile.TemporaryDirectory() as state:
            pairs = asyncio.run(measure(options, f"http://127.0.0.1:{port}/v1", Path(state)))
    finally:
        server.terminate()
        server.wait(10)
    added = statistics.median(1000 * (ours - direct) / options.requests for direct, ours in pairs)
    ratio = statistics.median(direct / ours for direct, ours in pairs)

    def per_second(seconds: Iterable[float]) -> str:
        return f"{options.requests / statistics.median(seconds):.0f}"

    rows = [
        ("added per request, median of pairs", f"{added:.2f} ms", "at most 0.5 ms"),
        ("throughput against direct calls, median of pairs", f"{ratio:.3f}", "at least 0.95"),
        ("requests per second, direct", per_second(one for one, _ in pairs), ""),
        ("requests per second, through the expert", per_second(one for _, one in pairs), ""),
    ]
    result = {"conditions": before, "options": vars(options), "pairs": pairs}
    write_result("remote_overhead", "What a remote expert's requests cost on the way", rows, result)


if __name__ == "__main__":
    main()
