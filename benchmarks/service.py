"""The service against vLLM's own server: the same model, the same load, in one run on one machine.

    python -m benchmarks.service --streams 32 --requests 128 --tokens 64

Greedy, streamed, every prompt asked once, `--streams` clients at once (closed loop). Servers: Collegium under
uvicorn, on Ray Serve, and `python -m vllm.entrypoints.openai.api_server` with the settings that Collegium gives its
engine (eager, the same context and KV cache). The client is a small HTTP client; each server is started, warmed,
measured `--rounds` times, and stopped.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.machine import conditions, write_result

MODEL = "base"
SETTLING = 15
"""Seconds for which Collegium, once it is ready, goes on to load the embedder."""


async def load(url: str, streams: int, prompts: list[str], tokens: int) -> dict[str, Any]:
    """Ask all prompts, `streams` at once."""
    waiting = iter(prompts)
    firsts: list[float] = []
    totals: list[float] = []
    counts: list[int] = []

    async def client(http: httpx.AsyncClient) -> None:
        for prompt in waiting:
            began = time.perf_counter()
            body = {
                "model": MODEL,
                "messages": [{"role": "user", "content": prompt}],
                "temperature": 0,
                "max_tokens": tokens,
                "stream": True,
                "stream_options": {"include_usage": True},
            }
            first, usage = None, 0
            async with http.stream("POST", f"{url}/v1/chat/completions", json=body) as response:
                if response.status_code != 200:
                    raise RuntimeError(f"{response.status_code}: {await response.aread()!r}")
                async for line in response.aiter_lines():
                    if not line.startswith("data: {"):
                        continue
                    if first is None and '"content": "' in line.replace('":"', '": "') and '"content": ""' not in line:
                        first = time.perf_counter() - began
                    if '"usage"' in line and (report := json.loads(line[6:]).get("usage")):
                        usage = report["completion_tokens"]
            firsts.append(first or 0.0)
            totals.append(time.perf_counter() - began)
            counts.append(usage)

    limits = httpx.Limits(max_connections=streams)
    async with httpx.AsyncClient(timeout=600, limits=limits) as http:
        started = time.perf_counter()
        await asyncio.gather(*(client(http) for _ in range(streams)))
        seconds = time.perf_counter() - started
    ordered = sorted(firsts)
    return {
        "seconds": seconds,
        "tokens": sum(counts),
        "tokens_per_second": sum(counts) / seconds,
        "ttft_p50": statistics.median(ordered),
        "ttft_p99": ordered[int(len(ordered) * 0.99) - 1],
        "latency_p50": statistics.median(totals),
    }


def questions(count: int, salt: int) -> list[str]:
    things = ("a lighthouse", "a violin", "the sea", "a train", "an old map", "bread", "a bridge", "snow")
    return [f"Write a long story about {things[n % 8]} and the number {salt * 100_000 + n}." for n in range(count)]


class Server:
    """A server process, ready when it answers."""

    def __init__(self, command: list[str], port: int, path: str, environment: dict[str, str]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._log = Path(tempfile.gettempdir()) / f"service-{port}-{os.getpid()}.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command, env={**os.environ, **environment}, stdout=log, stderr=log, start_new_session=True
            )
        end = time.monotonic() + 240
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            try:
                if httpx.get(f"{self.url}{path}", timeout=5).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.5)
        self.close()
        raise RuntimeError(f"{command}: did not get ready:\n{self._log.read_text()[-3000:]}")

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
        self._log.unlink(missing_ok=True)


def collegium(folder: Path, port: int, on_ray: bool) -> Server:
    config = folder / f"collegium-{port}.yaml"
    config.write_text(
        "experts: {base: {model: demo/SmolLM2-135M-Instruct, context: 2048}}\n"
        f"state: {folder / f'state-{port}'}\n"
        "service: {log: none}\n"
    )
    command = [sys.executable, "-m", "orchestrator", "serve", "--config", str(config), "--port", str(port)]
    return Server([*command, *(["--ray"] if on_ray else [])], port, "/health/ready", {"HF_HUB_OFFLINE": "1"})


def vllm(port: int) -> Server:
    from orchestrator.experts.demo import FULL, locate

    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(locate(FULL))]
    command += ["--served-model-name", MODEL, "--port", str(port), "--host", "127.0.0.1", "--max-model-len", "2048"]
    command += ["--enforce-eager", "--dtype", "bfloat16"]
    environment = {
        "HF_HUB_OFFLINE": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "VLLM_CPU_KVCACHE_SPACE": "1",
    }
    return Server(command, port, "/health", environment)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--requests", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--servers", default="vllm,uvicorn,ray")
    given = parser.parse_args()
    result: dict[str, Any] = {"arguments": vars(given), "conditions": conditions(), "rounds": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        makers = {
            "uvicorn": lambda: collegium(folder, 8101, False),
            "ray": lambda: collegium(folder, 8102, True),
            "vllm": lambda: vllm(8103),
        }
        for label in given.servers.split(","):
            server = makers[label]()
            try:
                time.sleep(0 if label == "vllm" else SETTLING)
                asyncio.run(load(server.url, given.streams, questions(given.streams, 99), 16))
                rounds = [
                    asyncio.run(load(server.url, given.streams, questions(given.requests, salt), given.tokens))
                    for salt in range(given.rounds)
                ]
            finally:
                server.close()
            result["rounds"][label] = rounds
            print(label, [round(one["tokens_per_second"]) for one in rounds], flush=True)
    write(given, result)


def write(given: argparse.Namespace, result: dict[str, Any]) -> None:
    def middle(label: str, what: str) -> float:
        return statistics.median(one[what] for one in result["rounds"][label])

    rows: list[tuple[str, str, str]] = []
    for label, title, minimum in (
        ("vllm", "vLLM's server", None),
        ("uvicorn", "Collegium, uvicorn", 0.9),
        ("ray", "Collegium, Ray Serve", 0.8),
    ):
        if label not in result["rounds"]:
            continue
        speed, first = middle(label, "tokens_per_second"), middle(label, "ttft_p50")
        rows.append((f"{title}: tokens/s, median of {given.rounds}", f"{speed:.0f}", ""))
        rows.append((f"{title}: time to first token, p50", f"{first * 1000:.0f} ms", ""))
        if minimum is not None and "vllm" in result["rounds"]:
            ratio, later = speed / middle("vllm", "tokens_per_second"), first - middle("vllm", "ttft_p50")
            rows.append((f"{title} / vLLM's server, tokens/s", f"{ratio:.2f}", f"at least {minimum}"))
            rows.append((f"{title}: first token later than vLLM's", f"{later * 1000:.0f} ms", "at most 15 ms"))
    title = f"Service: {given.streams} streams, {given.requests} requests x {given.tokens} tokens"
    write_result("service", title, rows, result)


if __name__ == "__main__":
    main()
