"""A batch of requests to six experts: the whole time against the engine's own, and how often experts were loaded.

    python -m benchmarks.batch_experts [--requests 5000]

The official form over HTTP: one file is uploaded, one batch is made, its state is asked for four times per second. The
experts are the demo zoo's adapters on one worker. The engine's own time is what it spent in steps and in loads.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time

import httpx

from benchmarks.machine import conditions, write_result
from benchmarks.served import metric, served

EXPERTS = ("arithmetic", "letters", "calendar", "logic", "converter", "sorter")
TOKENS = 8
LIMIT = 1.02


def lines(requests: int) -> bytes:
    """One request per line, the experts in random order."""
    chooser = random.Random(0)
    rows = []
    for number in range(requests):
        body = {
            "model": chooser.choice(EXPERTS),
            "messages": [{"role": "user", "content": f"What is {number} plus {chooser.randint(2, 99)}?"}],
            "max_tokens": TOKENS,
            "ignore_eos": True,
        }
        rows.append({"custom_id": str(number), "method": "POST", "url": "/v1/chat/completions", "body": body})
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=5000)
    asked = parser.parse_args()
    before = conditions()
    with served({"zoo": "demo"}) as url, httpx.Client(base_url=f"{url}/v1", timeout=120) as client:
        first = {"model": "base", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
        client.post("/chat/completions", json=first).raise_for_status()  # the engine has started
        file = client.post("/files", files={"file": ("asked.jsonl", lines(asked.requests))}, data={"purpose": "batch"})
        names = ("swaps_total", "swap_seconds_total", "engine_busy_seconds_total")
        then = [metric(url, f"collegium:{name}") for name in names]
        began = time.perf_counter()
        made = client.post(
            "/batches",
            json={"input_file_id": file.json()["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"},
        ).json()
        while (batch := client.get(f"/batches/{made['id']}").json())["status"] == "in_progress":
            time.sleep(0.25)
        wall = time.perf_counter() - began
        loads, loading, busy = (metric(url, f"collegium:{name}") - old for name, old in zip(names, then, strict=True))
        output = client.get(f"/files/{batch['output_file_id']}/content").text.splitlines()
    good = sum(json.loads(line)["response"]["status_code"] == 200 for line in output)
    ratio = wall / (busy + loading)
    rows = [
        ("requests answered", f"{good:,} of {asked.requests:,}, {TOKENS} tokens each", f"{asked.requests:,}"),
        ("loads", f"{loads:.0f} for {len(EXPERTS)} experts", f"at most {len(EXPERTS)}"),
        ("engine: steps and loads", f"{busy:.1f} s and {loading:.1f} s", ""),
        ("whole batch", f"{wall:.1f} s", ""),
        ("whole batch / engine", f"{ratio:.3f}", f"at most {LIMIT}"),
    ]
    result = {"conditions": before, "good": good, "loads": loads, "busy": busy, "loading": loading, "wall": wall}
    write_result("batch_experts", "A batch over six experts", rows, result)
    return int(good < asked.requests or ratio > LIMIT or loads > len(EXPERTS))


if __name__ == "__main__":
    sys.exit(main())
