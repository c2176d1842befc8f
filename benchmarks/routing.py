"""How quick routing is: one question from its text to a ranking, scoring alone, and fitting.

    python -m benchmarks.routing

The questions are generated tasks and, where ../shared is, MMLU-Pro's; the table is made up (12,000 questions x 28
experts, in four groups of skills): only its size matters here. How good the routers are is in eval_router.md and
demo_routing.md.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import conditions, write_result
from orchestrator.evaluation.tasks import load
from router import Embedder, Features, Ranking, Router, Row, Table
from router.routers import ROUTERS, fit

EXPERTS, GROUPS, DIMENSIONS = 28, 4, 384
RECORDED = Path(__file__).parents[2] / "shared" / "data" / "routing" / "mmlu_pro_dev.jsonl.gz"


def world(questions: int, seed: int = 0) -> tuple[Table, Features]:
    """Questions in groups, and experts that are better in one of them."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, GROUPS, questions)
    centres = rng.standard_normal((GROUPS, DIMENSIONS))
    vectors = centres[group] + rng.standard_normal((questions, DIMENSIONS))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    chance = 0.3 + 0.4 * (np.arange(EXPERTS) % GROUPS == group[:, None])
    right = rng.random((questions, EXPERTS)) < chance
    rows = tuple(
        Row(str(n), f"question {n}", {f"expert{e}": float(right[n, e]) for e in range(EXPERTS)})
        for n in range(questions)
    )
    skills = tuple((f"skill {g}",) for g in group)
    tags = {f"skill {g}": (centres[g] / np.linalg.norm(centres[g])).astype(np.float32) for g in range(GROUPS)}
    return Table.from_rows(rows), Features(vectors, skills, tags)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def route(embedder: Embedder, router: Router, text: str) -> Ranking:
    """One question, as a caller in a hurry asks it."""
    return router.rank(embedder.features([text]))[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=12_000, help="to fit on")
    parser.add_argument("--routed", type=int, default=400, help="questions routed one by one")
    given = parser.parse_args()
    noted = conditions()
    table, features = world(given.questions)
    many = features.take(np.resize(np.arange(len(features)), 20_000))
    texts = {"generated": [question.question for question in load("mixed", "test", given.routed)]}
    if RECORDED.exists():
        texts["MMLU-Pro"] = list(Table.read(RECORDED).questions[: given.routed])
    rows: list[tuple[str, str, str]] = []
    raw: dict[str, Any] = {}
    embedder = Embedder()
    embedder.embed(["warm up"])
    for name in ROUTERS:
        fitting = seconds(partial(fit, name, table, features))
        router = fit(name, table.take(range(350)), features.take(range(350)))
        router.score(many.take(range(100)))
        rate = len(many) / min(seconds(partial(router.score, many)) for _ in range(3))
        raw[name] = {"fit_seconds": fitting, "scored_a_second": rate, "one": {}}
        for source, asked in texts.items():
            one = [1000 * seconds(partial(route, embedder, router, text)) for text in asked]
            p50, p95 = statistics.median(one), statistics.quantiles(one, n=20)[-1]
            raw[name]["one"][source] = {"p50_ms": p50, "p95_ms": p95}
            report = f"p50 {p50:.1f} ms, p95 {p95:.1f} ms"
            rows.append((f"{name}: one {source} question, embedding included", report, "p50 under 15 ms"))
        rows += [
            (f"{name}: scoring alone, {EXPERTS} experts", f"{rate:,.0f} questions/s", "50,000 questions/s"),
            (f"{name}: fitting {given.questions:,} x {EXPERTS}", f"{fitting:.1f} s", "under 60 s"),
        ]
    write_result("routing", "Routing: speed", rows, {"conditions": noted, "routers": raw})


if __name__ == "__main__":
    main()
