"""The demo zoo's accuracy matrix, and what best, vote and mixture make of it.

    python -m benchmarks.accuracy

Everything is fitted on the validation split and reported on the test split, by the product's own `run`.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile

from benchmarks.machine import conditions, write_result
from orchestrator import Collegium
from orchestrator.evaluation.report.matrix import expert_totals
from orchestrator.evaluation.report.record import Interval


def formatted(interval: Interval) -> str:
    return f"{100 * interval.value:.1f} ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=400)
    parser.add_argument("--fit-questions", type=int, default=400)
    given = parser.parse_args()
    noted = conditions()
    with (
        tempfile.TemporaryDirectory() as state,
        Collegium({"zoo": "demo", "state": state}) as collegium,
    ):
        result = asyncio.run(collegium.arun(task="mixed", questions=given.questions, fit_questions=given.fit_questions))
    report, matrix = result.report, result.report.matrix
    assert matrix is not None
    totals = expert_totals(matrix)
    methods = {method.method: method for method in report.methods}
    single = max(totals.values(), key=lambda total: total.value)
    gap = methods["oracle"].overall.value - single.value
    closed = (methods["mixture"].overall.value - methods["best"].overall.value) / (
        methods["oracle"].overall.value - methods["best"].overall.value
    )
    rows = [
        (
            f"{method.method} ({method.note})",
            f"{formatted(method.overall)} %",
            f"{method.cost.tokens / method.overall.n:.0f} tokens a question",
        )
        for method in report.methods
    ]
    rows += [
        (f"{one.method} minus {one.baseline}, paired", f"{formatted(one.difference)} points", "")
        for one in report.comparisons
    ]
    rows += [
        ("best single expert, in hindsight", f"{formatted(single)} %", ""),
        ("oracle minus best single expert", f"{100 * gap:.1f} points", "at least 25"),
        ("gap between best and oracle that the mixture closes", f"{closed:.0%}", ""),
        ("loads", str(len(report.timeline)), f"{len(collegium.experts)} experts, two rounds"),
    ]
    lines = ["| expert | " + " | ".join(matrix.tasks) + " | all |", "| --- |" + " --- |" * (len(matrix.tasks) + 1)]
    for expert, cells in zip(matrix.experts, matrix.cells, strict=True):
        lines.append(f"| {expert} | " + " | ".join(formatted(cell) for cell in [*cells, totals[expert]]) + " |")
    note = f"Percent right on the test split with 95% Wilson intervals, seed {report.seed}:\n\n" + "\n".join(lines)
    write_result(
        "accuracy",
        "Accuracy of the demo zoo, version 1",
        rows,
        {"conditions": noted, "report": report.model_dump(mode="json", exclude={"samples", "transcripts"})},
        note,
    )


if __name__ == "__main__":
    main()
