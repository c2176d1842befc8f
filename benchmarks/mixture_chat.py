"""What `mixture` adds to a chat: routing one question with its conversation, and a served chat's own time and calls.

    python -m benchmarks.mixture_chat [--chats 400]

Scripted experts answer at once, so that what is measured is ours: the service in this process, without a socket. The
profile is 200 generated questions with made-up scores: only its size matters. Questions are generated ones and, where
../shared is, MMLU-Pro's; each also behind one system prompt of 1,473 characters, which is embedded once, and after six
turns of a conversation of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import conditions, write_result
from orchestrator.config import validate
from orchestrator.evaluation.mixture.fit import fit_mixture
from orchestrator.evaluation.mixture.fitted import FittedMixture
from orchestrator.evaluation.mixture.options import FittingOptions
from orchestrator.evaluation.tasks import load
from router import Embedder, Row, Table

EXPERTS = 9
SYSTEM = ("You are the assistant of a furniture shop. Be friendly, brief and exact. " * 30)[:1473]
RECORDED = Path(__file__).parents[2] / "shared" / "data" / "routing" / "mmlu_pro_dev.jsonl.gz"
SCRIPT = "def reply(messages, seed):\n    return 'Here you are.'\n"
SHOWN = {
    "routing": "routing within a served chat, the change to its thread and back included",
    "encoder": "of that the question's embedding (encoder and its cache)",
}
Measured = tuple[float, float]
"""Milliseconds: median, 95th percentile."""


def profile() -> Table:
    """200 questions, each expert right on the tasks of its number."""
    rng = np.random.default_rng(0)
    questions = load("mixed", "validation", 200)
    tasks = sorted({one.task for one in questions})
    rows = []
    for one in questions:
        chance = [0.8 if expert % len(tasks) == tasks.index(one.task) else 0.2 for expert in range(EXPERTS)]
        right = {f"e{expert}": float(rng.random() < p) for expert, p in enumerate(chance)}
        rows.append(Row(one.id, one.question, right, task=one.task))
    return Table.from_rows(rows)


def measured(seconds: Sequence[float]) -> Measured:
    return 1000 * statistics.median(seconds), 1000 * statistics.quantiles(seconds, n=20)[-1]


def routed(folder: Path, mixture: FittedMixture, texts: Sequence[str], before: str) -> Measured:
    """One question after the other, with what stands before it; each was never embedded before."""
    embedder, spent = Embedder(cache=folder), []
    embedder.embed(["warm up", before or "?"])
    for number, text in enumerate(texts):
        history = before.replace("NUMBER", str(number))
        began = time.perf_counter()
        alone, within = embedder.asked_within([text], [history])
        mixture.rank(within, None, alone)
        spent.append(time.perf_counter() - began)
    embedder.close()
    return measured(spent)


async def served(folder: Path, texts: Sequence[str]) -> tuple[dict[str, Measured], float]:
    """(time of a chat by model, and of its parts with mixture: `routing`, of which `encoder`; its calls)."""
    import httpx

    from orchestrator.service.application import application
    from orchestrator.service.runtime import ServiceRuntime

    (folder / "instant.py").write_text(SCRIPT)
    sys.path.insert(0, str(folder))
    profile().write(folder / "profile.jsonl")
    config = {
        "experts": {f"e{expert}": {"script": "instant:reply"} for expert in range(EXPERTS)},
        "workers": {"engine": "scripted", "in_process": True},
        "state": str(folder / "state"),
        "service": {"log": "none", "profile": str(folder / "profile.jsonl")},
    }
    runtime = ServiceRuntime(validate(config, folder / "config.yaml"))
    app = application(runtime)
    api: Any = app.app
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost", timeout=60)
    found: dict[str, list[float]] = {"e0": [], "mixture": [], "routing": [], "encoder": []}
    calls = []
    rank, encode = runtime.routing.rank, runtime.collegium.embedder.asked_within

    async def timed_rank(*given: Any) -> Any:
        began = time.perf_counter()
        ranked = await rank(*given)
        found["routing"].append(time.perf_counter() - began)
        return ranked

    def timed_encode(*given: Any) -> Any:
        began = time.perf_counter()
        encoded = encode(*given)
        found["encoder"].append(time.perf_counter() - began)
        return encoded

    runtime.routing.rank, runtime.collegium.embedder.asked_within = timed_rank, timed_encode  # type: ignore[method-assign]
    async with api.router.lifespan_context(api), client:
        while not runtime.ready:
            await asyncio.sleep(0.05)
        for text in texts:
            for model in ("e0", "mixture"):
                body = {"model": model, "temperature": 0.5, "messages": [{"role": "user", "content": text}]}
                began = time.perf_counter()
                reply = (await client.post("/v1/chat/completions", json=body)).json()
                found[model].append(time.perf_counter() - began)
                if model == "mixture":
                    calls.append(reply["collegium"]["calls"])
    return {model: measured(spent[20:]) for model, spent in found.items()}, statistics.fmean(calls)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chats", type=int, default=400)
    given = parser.parse_args()
    noted = conditions()
    texts = {"generated": [one.question for one in load("mixed", "test", given.chats)]}
    if RECORDED.exists():
        texts["MMLU-Pro"] = list(Table.read(RECORDED).questions[: given.chats])
    turns = "\n\n".join(["How long does a delivery take?", "Three to five days for order NUMBER."] * 3)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        embedder = Embedder(cache=folder / "cache")
        mixture = fit_mixture(profile(), FittingOptions(), embedder)
        one = {
            (source, name): routed(folder / source / name, mixture, asked, before)
            for source, asked in texts.items()
            for name, before in (("alone", ""), ("behind a long system prompt", SYSTEM), ("after six turns", turns))
        }
        embedder.close()
        chats, calls = asyncio.run(served(folder, texts["generated"]))
    added, routing = chats["mixture"][0] - chats["e0"][0], chats["routing"][0]
    rows = [
        (
            f"routing one {source} question {name}, embedding and windows included",
            f"p50 {p50:.1f} ms, p95 {p95:.1f} ms",
            "p50 below 10 ms",
        )
        for (source, name), (p50, p95) in one.items()
    ]
    rows += [
        (SHOWN.get(name, f"a served chat with {name}"), f"p50 {p50:.1f} ms, p95 {p95:.1f} ms", "")
        for name, (p50, p95) in chats.items()
    ]
    rows += [
        ("what mixture adds to an expert's chat, p50", f"{added:.1f} ms", ""),
        ("its own time beside routing, p50", f"{added - routing:.1f} ms", "at most 5 ms"),
        ("expert calls per chat", f"{calls:.2f}", "1 recruited, at most 1 more"),
    ]
    raw = {
        "conditions": noted,
        "routed_ms": {f"{source}, {name}": value for (source, name), value in one.items()},
        "chats_ms": chats,
        "calls": calls,
    }
    write_result("mixture_chat", "What the mixture adds to a chat", rows, raw)


if __name__ == "__main__":
    main()
