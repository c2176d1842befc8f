"""Malformed requests over every route of the service: none may get a 5xx or another tenant's data, no worker may end,
memory stays flat, and each expert answers well afterwards.

    python -m benchmarks.soak_requests [--seed N] [--requests N] [--engine vllm]

`collegium serve` as users start it, in a process of its own, with two tiny random experts on a real engine and two
keys. Paths come from the service's own description; each is asked with and without `/v1`, with a trailing slash, by
wrong methods, with good, bad and missing keys, and with broken bodies (`odd_requests`). Each tenant has files, batches,
responses and jobs that hold a mark; no answer to anybody else may hold it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.machine import conditions, write_result
from benchmarks.odd_requests import CHAT, Asked, Asker
from benchmarks.served import served_process
from orchestrator.service.keys import KeyFile

TENANTS = ("ann", "bob")
EXPERTS = ("words", "other")
AT_ONCE = 16
PATIENCE = 120.0
"""Seconds after which a request counts as not answered."""
LIMIT = 1.10
"""Memory at the end against that after a fifth of the requests."""
SAMPLE = 500
"""Requests between two looks at memory and at the experts."""
ROW = (
    '{"custom_id": "%s", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "words", "messages": []}}\n'
)


@dataclass
class Found:
    """What came of the requests."""

    statuses: Counter[int] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)
    """5xx, no answer, another tenant's mark, a good request that was refused."""
    seconds: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    """MiB of the service and its workers, every `SAMPLE` requests."""
    lost: float = 0.0
    unsent: int = 0
    """What the client itself does not send, such as a length of a thousand digits."""


def write_experts(folder: Path) -> dict[str, Any]:
    """Two tiny Llamas with the demo zoo's tokenizer; the zoo's configuration."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from orchestrator.experts.demo import FULL, locate

    tokenizer = AutoTokenizer.from_pretrained(str(locate(FULL)))
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    for seed, name in enumerate(EXPERTS):
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=len(tokenizer), num_key_value_heads=2, max_position_embeddings=2048, tie_word_embeddings=True,
            initializer_range=0.3, bos_token_id=1, eos_token_id=2, pad_token_id=2, **sizes,
        )  # fmt: skip
        LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return {name: {"model": str(folder / name), "context": 1024} for name in EXPERTS}


def memory(pid: int) -> float:
    """MiB of private memory of a process and all that it started."""
    found = 0
    root = psutil.Process(pid)
    for process in [root, *root.children(recursive=True)]:
        try:
            found += process.memory_full_info().uss
        except psutil.Error:
            continue
    return found / 2**20


async def belongings(client: httpx.AsyncClient, mark: str, headers: dict[str, str]) -> list[str]:
    """Ids of what a tenant makes; each holds its mark."""
    parts: Any = {"file": (f"{mark}.jsonl", (ROW % mark).encode())}
    file = (await client.post("/v1/files", files=parts, data={"purpose": "batch"}, headers=headers)).json()["id"]
    asked = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    batch = (await client.post("/v1/batches", json={**asked, "metadata": {"a": mark}}, headers=headers)).json()["id"]
    said = {"model": "words", "input": mark, "max_output_tokens": 16}
    response = (await client.post("/v1/responses", json=said, headers=headers)).json()["id"]
    job = {"pipeline": "profile", "request": {"task": "arithmetic", "questions": 2}}
    made = (await client.post("/v1/jobs", json=job, headers={**headers, "Idempotency-Key": mark})).json()["id"]
    return [file, batch, f"output-{batch}", f"errors-{batch}", response, made]


async def soak(url: str, pid: int, keys: dict[str, str], seed: int, count: int) -> tuple[Found, int]:
    """(what came of `count` requests, number of paths)."""
    found = Found()
    marks = {name: f"mark-of-{name}-{seed}" for name in TENANTS}
    headers = {name: {"authorization": f"Bearer {key}"} for name, key in keys.items()}
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE, limits=limits) as client:
        described = (await client.get("/openapi.json", headers=headers["ann"])).json()["paths"]
        paths = {path: [method.upper() for method in methods] for path, methods in described.items()}
        paths |= {"/openapi.json": ["GET"], "/nothing": ["GET", "POST"]}
        asker = Asker(random.Random(seed), paths, keys)
        for name in TENANTS:
            asker.ids += await belongings(client, marks[name], headers[name])

        async def send(asked: Asked) -> None:
            begun = time.perf_counter()
            try:
                written = {name: value.encode() for name, value in asked.headers.items()}  # a key may be any bytes
                request = client.build_request(asked.method, asked.path, headers=written, content=asked.content)
                answer = await client.send(request)
                found.statuses[answer.status_code] += 1
                text = answer.text
                if answer.status_code >= 500:
                    found.bad.append(f"{answer.status_code} {text[:300]}: {asked}")
                if [mark for name, mark in marks.items() if name != asked.tenant and mark in text]:
                    found.bad.append(f"another tenant's mark: {asked}")
                streamed = answer.headers.get("content-type", "").startswith("text/event-stream")
                if '"error":{' in text and streamed and ("internal" in text or "worker_lost" in text):
                    found.bad.append(f"an error within a stream {text[-300:]}: {asked}")
            except httpx.LocalProtocolError:
                found.unsent += 1
            except (TimeoutError, httpx.TransportError) as error:
                found.bad.append(f"{error!r}: {asked}")
            found.seconds.append(time.perf_counter() - begun)

        async def healthy() -> None:
            for name in EXPERTS:
                asked = {"model": name, "messages": CHAT, "max_tokens": 3}
                answer = await client.post("/v1/chat/completions", json=asked, headers=headers["ann"])
                if answer.status_code != 200:
                    found.bad.append(f"a good request to {name}: {answer.status_code} {answer.text[:200]}")

        for start in range(0, count, SAMPLE):
            waiting = [asker.ask() for _ in range(min(SAMPLE, count - start))]

            async def work(waiting: list[Asked] = waiting) -> None:
                while waiting:
                    await send(waiting.pop())

            await asyncio.gather(*(work() for _ in range(AT_ONCE)))
            await healthy()
            found.memory.append(await asyncio.to_thread(memory, pid))
            print(f"{start + SAMPLE}: {found.memory[-1]:.0f} MiB, {len(found.bad)} bad", flush=True)
        response = await client.get("/metrics", headers=headers["ann"])
        lines = response.text.splitlines()
        found.lost = sum(
            float(line.rpartition(" ")[2]) for line in lines if line.startswith("collegium:workers_lost_total")
        )
    return found, len(paths)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--engine", default="auto")
    options = parser.parse_args()
    noted = conditions()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keys = {one: KeyFile(folder / "keys.json").create(one)[0] for one in TENANTS}
        config = {
            "experts": write_experts(folder),
            "workers": {"engine": options.engine},
            "service": {"log": "none", "keys": str(folder / "keys.json"), "max_wait": 600},
        }
        with served_process(config) as (url, pid):
            found, paths = asyncio.run(soak(url, pid, keys, options.seed, options.requests))
    warm = found.memory[len(found.memory) // 5]
    growth = max(found.memory[-3:]) / warm
    rows = [
        ("requests", f"{options.requests:,} on {paths} paths, {AT_ONCE} at once", ""),
        ("not sent by the client itself", str(found.unsent), ""),
        ("answers by status", ", ".join(f"{one}: {found.statuses[one]:,}" for one in sorted(found.statuses)), ""),
        ("5xx, no answer, another tenant's data, or a good request refused", str(len(found.bad)), "0"),
        ("workers lost", f"{found.lost:.0f}", "0"),
        ("memory after a fifth, and at the end", f"{warm:.0f} and {found.memory[-1]:.0f} MiB", ""),
        ("growth", f"{growth:.3f}", f"at most {LIMIT}"),
        ("slowest", f"{max(found.seconds):.2f} s", ""),
    ]
    result = {
        "conditions": noted, "seed": options.seed, "statuses": found.statuses, "bad": found.bad, "memory": found.memory,
        "lost": found.lost,
    }  # fmt: skip
    write_result("soak_requests", "Malformed requests", rows, json.loads(json.dumps(result)))
    if found.bad or found.lost or growth > LIMIT:
        sys.exit("\n".join(found.bad[:20]) or "workers were lost, or memory grew")


if __name__ == "__main__":
    main()
