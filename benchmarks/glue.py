"""Model-GLUE on the demo zoo: the best single expert, everything merged, and the new zoo behind its router.

    python -m benchmarks.glue

Clusters, merges, members and the router are decided on the validation split and reported on the test split. With
`--state` an earlier run's replies are used again, so that a run that was cut short goes on. `--dense-layers` adds a
hybrid mixture: the same members, its lowest layers merged instead of routed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
import time

from benchmarks.accuracy import formatted
from benchmarks.machine import conditions, write_result
from orchestrator import Collegium
from orchestrator.pipelines.glue import GlueRequest

WANTED = 0.056


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=320)
    parser.add_argument("--select-questions", type=int, default=160)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--method", default="task_arithmetic")
    parser.add_argument("--ffn-questions", type=int, default=48, help="test questions for the FFN-level mixture")
    parser.add_argument(
        "--dense-layers", type=int, default=0, help="lowest layers of a hybrid mixture; 0: none is made"
    )
    parser.add_argument("--state", help="state folder; default: a fresh one")
    given = parser.parse_args()
    noted = conditions()
    request = GlueRequest(
        questions=given.questions,
        select_questions=given.select_questions,
        trials=given.trials,
        method=given.method,
        ffn_questions=given.ffn_questions,
        sample=max(16, given.select_questions // 4),
    )
    with contextlib.ExitStack() as stack:
        state = given.state or stack.enter_context(tempfile.TemporaryDirectory())
        collegium = stack.enter_context(Collegium({"zoo": "demo", "state": state, "workers": {"in_process": True}}))
        began = time.monotonic()
        report = asyncio.run(collegium.aglue(request)).report
        methods, comparisons = list(report.methods), list(report.comparisons)
        if given.dense_layers:
            hybrid = request.model_copy(update={"dense_layers": given.dense_layers})
            more = asyncio.run(collegium.aglue(hybrid)).report
            known = {method.method for method in methods}
            methods += [method for method in more.methods if method.method not in known]
            comparisons += [one for one in more.comparisons if not {one.method, one.baseline} <= known]
        seconds = time.monotonic() - began
        progress = collegium.progress
    assert report.glue is not None
    rows = [(f"{method.method} ({method.note})", f"{formatted(method.overall)} %", "") for method in methods]
    for one in comparisons:
        wanted = f"at least {100 * WANTED:.1f}" if one.baseline.startswith("best") else ""
        rows.append((f"{one.method} minus {one.baseline}, paired", f"{formatted(one.difference)} points", wanted))
    dropped = [fate.expert for fate in report.glue.fates if fate.fate == "dropped"]
    rows += [
        ("dropped", ", ".join(dropped), "careless among them"),
        ("seconds, with what the ledger had", f"{seconds:.0f}", ""),
        ("replies generated, and from the ledger", f"{progress.submitted}, {progress.cached}" if progress else "", ""),
    ]
    lines = [f"Decided on {report.glue.decided_on}:", "", "| expert | fate | why |", "| --- | --- | --- |"]
    lines += [f"| {fate.expert} | {fate.fate} | {fate.why} |" for fate in report.glue.fates]
    for search in report.glue.searches:
        lines += ["", f"{search.name} ({search.method}, {len(search.trials)} candidates):", ""]
        lines += ["| candidate | stage | weights | right | questions |", "| --- | --- | --- | --- | --- |"]
        lines += [
            f"| {number} | {trial.stage} | {_weights(trial.weights)} | {trial.score:.1%} | {trial.questions} |"
            for number, trial in enumerate(search.trials, 1)
        ]
    write_result(
        "glue",
        "Model-GLUE on the demo zoo, version 1",
        rows,
        {"conditions": noted, "report": report.model_dump(mode="json", exclude={"samples", "timeline"})},
        "\n".join(lines),
    )


def _weights(weights: dict[str, float]) -> str:
    return ", ".join(f"{name} {weight:.2f}" for name, weight in weights.items())


if __name__ == "__main__":
    main()
