"""Each method beside the row that it has to beat, on a zoo and questions on which it can fail.

    python -m benchmarks.evidence [--zoo demo2] [--task mixed2] [--seeds 0,1,2] [--state FOLDER]

Everything is fitted on the validation split and reported on the test split, by the product's own `run`; with several
seeds, each has questions of its own, and the intervals are of all of them. With `--state` a second run goes on from
what the first one generated. The raw file has one letter per method and question (1 right, 0 wrong, a abstained,
u unreadable, f failed), in the order in which task, split and seed give the questions, so that anybody can compute
another interval.

Blind rows: `vote` knows no confidences; `unrouted-3` and `random-3` vote with as many calls as symbolic-moe, the first
with the three experts that were best on the validation split, the second with any three; `random-1` is the mixture
without a router. Skills are named by the untrained base model.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.accuracy import formatted
from benchmarks.machine import conditions, write_result
from orchestrator import Collegium
from orchestrator.evaluation.report.data import MethodResult
from orchestrator.evaluation.report.formats import probability
from orchestrator.evaluation.report.intervals import mcnemar, paired_difference, wilson

PLAIN = ("each", "best", "vote", "weighted-vote", "mixture")
ARMS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("mixture-by-need", "mixture", {"calls": 1.5}),
    ("mixture-3", "mixture", {"recruit": 3}),
    ("symbolic-moe", "symbolic-moe", {"recruit": 3, "keyword_expert": "base"}),
    ("unrouted-3", "mixture", {"recruit": 3, "router": "best"}),
    ("random-3", "mixture", {"recruit": 3, "router": "random"}),
    ("random-1", "mixture", {"router": "random"}),
    ("confidence-tokens", "weighted-vote", {"confidence": "tokens"}),
)
"""Name in the table, the product's method, its options."""
PAIRS = (
    ("mixture", "best"),
    ("mixture", "random-1"),
    ("mixture-by-need", "best"),
    ("mixture-3", "unrouted-3"),
    ("symbolic-moe", "unrouted-3"),
    ("symbolic-moe", "random-3"),
    ("symbolic-moe", "mixture-3"),
    ("weighted-vote", "vote"),
    ("confidence-tokens", "vote"),
)
"""A method, and what it has to beat."""


def outcomes(collegium: Collegium, asked: dict[str, Any]) -> dict[str, MethodResult]:
    """Name in the table -> what came of it, on one seed's questions."""
    first = asyncio.run(collegium.arun(**asked, methods=list(PLAIN))).report
    found = {method.method: method for method in first.methods}
    for name, method, options in ARMS:
        report = asyncio.run(collegium.arun(**asked, methods=[method], **options)).report
        found[name] = next(one for one in report.methods if one.method == method)
    return found


def pooled(results: Sequence[MethodResult]) -> tuple[list[float], float, float]:
    """0 or 1 for each question of all seeds; calls and tokens a question."""
    right = [float(letter == "1") for one in results for letter in one.outcomes]
    count = len(right)
    return right, sum(one.cost.calls for one in results) / count, sum(one.cost.tokens for one in results) / count


def by_task(seeds: Sequence[dict[str, MethodResult]], names: Sequence[str]) -> str:
    """Mean accuracy in percent of the seeds, a row for each task."""
    tasks = list(seeds[0][names[0]].accuracies)
    lines = ["| task | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    for task in tasks:
        cells = []
        for name in names:
            held = [found[name].accuracies[task] for found in seeds]
            cells.append(f"{100 * sum(one.value * one.n for one in held) / sum(one.n for one in held):.0f}")
        lines.append(f"| {task} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zoo", default="demo2")
    parser.add_argument("--task", default="mixed2")
    parser.add_argument("--questions", type=int, default=240)
    parser.add_argument("--fit-questions", type=int, default=240)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--state", type=Path)
    parser.add_argument("--cpus", type=float)
    parser.add_argument("--name", default="evidence", help="of the result's file")
    given = parser.parse_args()
    noted = conditions()
    seeds = [int(seed) for seed in given.seeds.split(",")]
    with contextlib.ExitStack() as stack:
        state = given.state or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        workers = {"in_process": True, "cpus": given.cpus}
        collegium = stack.enter_context(Collegium({"zoo": given.zoo, "state": str(state), "workers": workers}))
        asked = {
            "task": given.task,
            "questions": given.questions,
            "fit_questions": given.fit_questions,
            "logprobs": True,
        }
        found = [outcomes(collegium, {**asked, "seed": seed}) for seed in seeds]
    held = {name: pooled([one[name] for one in found]) for name in found[0]}
    rows = []
    for name, (right, calls, tokens) in sorted(held.items(), key=lambda one: -sum(one[1][0])):
        share = formatted(wilson(int(sum(right)), len(right)))
        rows.append((f"{name} ({found[0][name].note})", f"{share} %", f"{calls:.2f} calls, {tokens:.0f} tokens"))
    for one, other in PAIRS:
        difference = paired_difference(held[one][0], held[other][0])
        p = probability(mcnemar(held[one][0], held[other][0]))
        rows.append((f"{one} minus {other}, paired", f"{formatted(difference)} points", f"exact McNemar test: p {p}"))
    raw = {
        "conditions": noted,
        "asked": {**asked, "zoo": given.zoo, "seeds": seeds},
        "outcomes": {name: [one[name].outcomes for one in found] for name in held},
        "methods": [{name: one.model_dump(mode="json") for name, one in each.items()} for each in found],
    }
    note = f"{given.questions} test questions of each of the seeds {given.seeds}, fitted on {given.fit_questions} "
    note += "validation questions of the same seed. Calls and tokens are per question. Several questions have one "
    note += "wording: the intervals take them for independent. Percent right by task:\n\n"
    note += by_task(found, ["best", "vote", "mixture", "symbolic-moe", "oracle"])
    write_result(given.name, f"Methods beside their blind rows: zoo {given.zoo}, task {given.task}", rows, raw, note)


if __name__ == "__main__":
    main()
