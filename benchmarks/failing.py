"""A mixture of which any two experts misbehave: are chats answered, how late, and how often is a dead expert asked?

    python -m benchmarks.failing --chats 2000 --at-once 50

Five remote experts on a server of this machine that misbehaves as the model's name says (tests/scripts/misbehaving.py);
the two that misbehave stand first in every ranking, so that every chat would be theirs. Each pair of ways gets a fresh
service, every chat a question of its own, half of the chats are streamed. Compared with the healthy experts alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.machine import conditions, write_result

PAIRS = [
    ("hang", "broken"),
    ("cut", "stops"),
    ("too-long", "filtered"),
    ("limited", "limited-long"),
    ("slow", "gone"),
    ("reset", "restarting"),
    ("error-event", "blank"),
    ("refused", "html"),
    ("bad-key", "bad-request"),
    ("role-only", "overloaded"),
    ("bomb", "half-json"),
    ("not-text", "late"),
    ("no-choices", "error-200"),
    ("huge-line", "redirect"),
    ("call-unasked", "too-short"),
    ("pings", "other-protocol"),
]
DEAD = ("hang", "broken", "refused", "html", "bad-key")
HEALTHY = ("fine/1", "fine/2", "fine/3")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configuration(folder: Path, upstream: str, models: tuple[str, ...], port: int) -> Path:
    """A service of these models, ranked in this order for every question."""
    from router.row import Row
    from router.table import Table

    rows = [
        Row(f"q{n}", f"Is it so, number {n}?", {m: float(n % (1 + place) == 0) for place, m in enumerate(models)})
        for n in range(60)
    ]
    Table.from_rows(rows, models).write(folder / "profile.jsonl")
    experts = {
        model: {
            "url": "http://127.0.0.1:9/v1" if model == "refused" else upstream,
            "model": model,
            "concurrency": 64,
            "timeout": 5,
        }
        for model in models
    }
    config = {
        "experts": experts,
        "state": str(folder / "state"),
        "service": {
            "port": port,
            "profile": str(folder / "profile.jsonl"),
            "router": "best",
            "log": "none",
            "hedge_seconds": 0.5,
        },
    }
    path = folder / "collegium.yaml"
    path.write_text(json.dumps(config))
    return path


async def chats(url: str, count: int, at_once: int) -> dict[str, Any]:
    """Ask; what came of each chat."""
    seconds: list[float] = []
    outcomes: dict[str, int] = {}
    numbers = iter(range(count))
    retry_after = 0

    async def client(http: httpx.AsyncClient) -> None:
        nonlocal retry_after
        for number in numbers:
            stream = number % 2 == 0
            body = {
                "model": "mixture",
                "messages": [{"role": "user", "content": f"Is it so, question {number} of {url}?"}],
                "stream": stream,
            }
            began = time.perf_counter()
            response = await http.post(f"{url}/v1/chat/completions", json=body)
            seconds.append(time.perf_counter() - began)
            if response.status_code != 200:
                retry_after += "retry-after" in response.headers
                outcome = str(response.status_code)
            elif stream:
                events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
                failed = any("error" in event for event in events)
                text = "".join(e["choices"][0]["delta"].get("content") or "" for e in events if e.get("choices"))
                outcome = "error in stream" if failed else "answered" if "yes" in text else "empty"
            else:
                text = response.json()["choices"][0]["message"]["content"]
                outcome = "answered" if "yes" in text else "empty"
            outcomes[outcome] = outcomes.get(outcome, 0) + 1

    async with httpx.AsyncClient(timeout=120, limits=httpx.Limits(max_connections=at_once)) as http:
        began = time.perf_counter()
        await asyncio.gather(*(client(http) for _ in range(at_once)))
        wall = time.perf_counter() - began
    ordered = sorted(seconds)
    return {
        "outcomes": outcomes,
        "retry_after": retry_after,
        "p50": statistics.median(ordered),
        "p95": ordered[int(0.95 * len(ordered))],
        "longest": ordered[-1],
        "wall": wall,
    }


def run(upstream: str, models: tuple[str, ...], count: int, at_once: int) -> dict[str, Any]:
    """A fresh service of these models, asked."""
    with tempfile.TemporaryDirectory() as name:
        port = free_port()
        config = configuration(Path(name), upstream, models, port)
        environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, "-m", "orchestrator", "serve", "--config", str(config)]
        with (Path(name) / "log").open("wb") as log:
            service = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
            try:
                url = f"http://127.0.0.1:{port}"
                ready(f"{url}/health/ready", service)
                httpx.post(f"{url}/v1/route", json={"questions": ["warm up"]}, timeout=120)
                before = httpx.get(f"{upstream}/models").json()["asked"]
                found = asyncio.run(chats(url, count, at_once))
                after = httpx.get(f"{upstream}/models").json()["asked"]
            finally:
                service.terminate()
                service.wait(60)
        plain = [model.partition("/")[0] for model in models]
        found["asked"] = {model: after.get(model, 0) - before.get(model, 0) for model in dict.fromkeys(plain)}
        return found


def ready(url: str, service: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if service.poll() is not None:
            raise SystemExit("the service ended while it started")
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise SystemExit("the service does not get ready")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chats", type=int, default=2000)
    parser.add_argument("--at-once", type=int, default=50)
    parser.add_argument("--delay", type=float, default=0.05, help="Seconds before a healthy expert's first token.")
    parser.add_argument("--skip", type=int, default=0, help="Pairs to leave out before the first one.")
    parser.add_argument("--pairs", type=int, default=len(PAIRS), help="Pairs to measure.")
    parser.add_argument("--name", default="failing", help="Of the result's files.")
    options = parser.parse_args()
    port = free_port()
    command = [sys.executable, "-m", "tests.scripts.misbehaving", str(port), str(options.delay)]
    server = subprocess.Popen(command)
    upstream = f"http://127.0.0.1:{port}/v1"
    try:
        ready(f"{upstream}/models", server)
        before = conditions()
        healthy = [run(upstream, HEALTHY, options.chats, options.at_once)]
        found = {}
        for pair in PAIRS[options.skip : options.skip + options.pairs]:
            found[pair] = run(upstream, (*pair, *HEALTHY), options.chats, options.at_once)
            print(pair, json.dumps(found[pair]), flush=True)
        healthy.append(run(upstream, HEALTHY, options.chats, options.at_once))
        dead = run(upstream, DEAD, max(50, options.chats // 10), options.at_once)
        print("dead", json.dumps(dead), flush=True)
    finally:
        server.terminate()
        server.wait(10)
    report(options, before, healthy, found, dead)


def report(
    options: argparse.Namespace,
    before: dict[str, str],
    healthy: list[dict[str, Any]],
    found: dict[tuple[str, str], dict[str, Any]],
    dead: dict[str, Any],
) -> None:
    p95 = statistics.mean(one["p95"] for one in healthy)
    rows = [("healthy experts alone, p95", f"{1000 * p95:.0f} ms", "")]
    for pair, one in found.items():
        answered = one["outcomes"].get("answered", 0) / options.chats
        asked = ", ".join(f"{mode} {one['asked'][mode]}" for mode in pair)
        measured = (
            f"{answered:.2%} answered, {one['outcomes'].get('empty', 0)} empty, p95 {1000 * one['p95']:.0f} ms "
            f"({one['p95'] / p95:.2f} of healthy), longest {one['longest']:.1f} s; asked: {asked}"
        )
        rows.append((" + ".join(pair), measured, "at least 99.9%, p95 at most 1.5, dead ones asked at most 3 times"))
    counts = ", ".join(f"{outcome}: {count}" for outcome, count in dead["outcomes"].items())
    rows.append(("all dead", f"{counts}; {dead['retry_after']} with Retry-After", "503 with Retry-After each"))
    result = {
        "conditions": before,
        "options": vars(options),
        "healthy": healthy,
        "pairs": {" + ".join(pair): one for pair, one in found.items()},
        "dead": dead,
    }
    write_result(options.name, "A mixture of which two experts misbehave", rows, result)


if __name__ == "__main__":
    main()
