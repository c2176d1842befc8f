"""Many clients over six experts on one worker: our scheduling against least-recently-used swapping.

    python -m benchmarks.service_swapping --clients 200 --requests 2000

Each client asks a random expert, waits for the reply, asks again. The same service, engine and costs on both sides
(a scripted engine that sleeps as long as SmolLM2-135M takes: a swap 0.2 s, a step 20 ms, 32 requests at once). The
other side goes through llama-swap's gate (https://github.com/mostlygeek/llama-swap): requests pass in the order in
which they came; one for another model waits until all before it have ended, and then the model is swapped. It is so
slow that it gets the first `--other` requests of the same workload; swaps are compared per request.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import random
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.machine import conditions, write_result

EXPERTS = 6
SWAP, STEP, BATCH, TOKENS = 0.2, 0.02, 32, 8


class Gate:
    """llama-swap's way with one resident model."""

    def __init__(self) -> None:
        self.swaps = 0
        self._resident: str | None = None
        self._inside = 0
        self._turn = asyncio.Lock()
        self._empty = asyncio.Condition()

    async def enter(self, model: str) -> None:
        async with self._turn:
            if model != self._resident:
                async with self._empty:
                    await self._empty.wait_for(lambda: self._inside == 0)
                self._resident = model
                self.swaps += 1
            self._inside += 1

    async def leave(self) -> None:
        self._inside -= 1
        async with self._empty:
            self._empty.notify_all()


def script(messages: Any, seed: int) -> str:
    return " ".join(f"w{n}" for n in range(TOKENS))


# Experts are told apart by their scripts: six names for one.
script_0 = script_1 = script_2 = script_3 = script_4 = script_5 = script


async def work(url: str, clients: int, requests: int, gate: Gate | None) -> dict[str, Any]:
    """All requests; seconds of each, and how many were refused."""
    chooser = random.Random(0)
    waiting = iter([(f"expert-{chooser.randrange(EXPERTS)}", f"question {n} {bool(gate)}") for n in range(requests)])
    seconds: list[float] = []
    statuses: dict[int, int] = {}

    async def client(http: httpx.AsyncClient) -> None:
        for model, text in waiting:
            began = time.perf_counter()
            body = {"model": model, "temperature": 0, "messages": [{"role": "user", "content": text}]}
            if gate:
                await gate.enter(model)
            try:
                response = await http.post(f"{url}/v1/chat/completions", json=body)
            finally:
                if gate:
                    await gate.leave()
            statuses[response.status_code] = statuses.get(response.status_code, 0) + 1
            seconds.append(time.perf_counter() - began)

    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(timeout=3600, limits=limits) as http:
        started = time.perf_counter()
        await asyncio.gather(*(client(http) for _ in range(clients)))
        wall = time.perf_counter() - started
        metrics = (await http.get(f"{url}/metrics")).text
    swaps = next(float(line.split()[1]) for line in metrics.splitlines() if line.startswith("collegium:swaps_total "))
    return {
        "wall": wall,
        "swaps": int(swaps),
        "mean": statistics.mean(seconds),
        "p50": statistics.median(seconds),
        "worst": max(seconds),
        "statuses": {str(status): count for status, count in statuses.items()},
    }


def side(clients: int, requests: int, with_gate: bool) -> dict[str, Any]:
    """One service of its own, measured."""
    import uvicorn

    from orchestrator.config import validate
    from orchestrator.inference.engines.scripted import ScriptedEngine, ScriptedOptions
    from orchestrator.inference.schedule.host import InProcess
    from orchestrator.inference.schedule.ledger import Ledger
    from orchestrator.inference.schedule.pool import LocalPool
    from orchestrator.inference.schedule.scheduler import Policy
    from orchestrator.inference.schedule.supervisor import WorkerSpec
    from orchestrator.service.application import application
    from orchestrator.service.runtime import ServiceRuntime

    with tempfile.TemporaryDirectory() as folder:
        experts = {f"expert-{n}": {"script": f"benchmarks.service_swapping:script_{n}"} for n in range(EXPERTS)}
        service = {"log": "none", "max_wait": 600.0, "queue": 10_000}
        config = validate(
            {"experts": experts, "workers": {"engine": "scripted"}, "state": folder, "service": service}, Path(folder)
        )
        options = ScriptedOptions(batch=BATCH, capacity=2 * BATCH, load_seconds=SWAP, step_seconds=STEP)
        host = functools.partial(InProcess, "worker", functools.partial(ScriptedEngine, options))
        ledger = Ledger(Path(folder) / "ledger.sqlite")
        policy = Policy(turn=config.service.turn)
        with LocalPool([WorkerSpec("worker", "local", host)], ledger, kind_of=lambda _: "local", policy=policy) as pool:
            runtime = ServiceRuntime(config, pool)
            server = uvicorn.Server(uvicorn.Config(application(runtime), port=0, log_config=None))
            thread = threading.Thread(target=server.run)
            thread.start()
            while not (server.started and runtime.ready):
                time.sleep(0.01)
            url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
            try:
                return asyncio.run(work(url, clients, requests, Gate() if with_gate else None))
            finally:
                server.should_exit = True
                thread.join()
                ledger.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--other", type=int, default=500, help="requests through the gate")
    given = parser.parse_args()
    result: dict[str, Any] = {"arguments": vars(given), "conditions": conditions()}
    result["collegium"] = ours = side(given.clients, given.requests, False)
    print(ours, flush=True)
    result["lru"] = lru = side(given.clients, given.other, True)
    print(lru, flush=True)
    # A turn, the replies that are under way at its end, and a swap; once for every other expert, and once again for
    # those that had grown more work meanwhile.
    promised = 2 * EXPERTS * (5.0 + 2 * TOKENS * STEP + SWAP)
    failures = given.requests - ours["statuses"].get("200", 0) - ours["statuses"].get("429", 0)
    fewer = lru["swaps"] / given.other / (ours["swaps"] / given.requests)
    rows = [
        ("failures other than 429", str(failures), "0"),
        ("swaps: least recently used", f"{lru['swaps']} for {given.other} requests", ""),
        ("swaps: Collegium", f"{ours['swaps']} for {given.requests} requests", ""),
        ("swaps a request, times fewer", f"{fewer:.1f}", "at least 3"),
        ("mean latency: least recently used", f"{lru['mean']:.2f} s", ""),
        ("mean latency: Collegium", f"{ours['mean']:.2f} s", ""),
        ("mean latency, ratio", f"{ours['mean'] / lru['mean']:.3f}", "at most 0.5"),
        ("worst latency: Collegium", f"{ours['worst']:.2f} s", f"at most {promised:.0f} s"),
        ("worst latency: least recently used", f"{lru['worst']:.2f} s", ""),
    ]
    title = f"Service: {given.clients} clients, {given.requests} requests, {EXPERTS} experts, one worker"
    write_result("service_swapping", title, rows, result)


if __name__ == "__main__":
    main()
