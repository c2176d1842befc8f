"""A folder of runs as after a long year, for the page's lists."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow
import pyarrow.parquet

from orchestrator.evaluation.report.data import RunReport
from tests.orchestrator.evaluation.report.conftest import example_report

MANY = 100_000


def many_runs(runs: Path) -> None:
    """200 runs, the newest of them on 100,000 questions."""
    report = example_report()
    ids = [f"q{n}" for n in range(MANY)]
    method = report.methods[0].model_copy(update={"method": "vote", "outcomes": "10" * (MANY // 2)})
    large = report.model_copy(update={"questions": ids, "methods": [method], "samples": (), "matrix": None})
    small = RunReport.model_validate({**large.model_dump(), "questions": ids[:2], "methods": [], "comparisons": []})
    for number in range(200):
        folder = runs / f"run-{number:03d}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text('{"pipeline": "run", "config": {}, "request": {"task": "made.csv"}}')
        os.utime(folder / "config.json", (number, number))
        (folder / "finished").write_text("")
        (folder / "results.json").write_text((large if number == 199 else small).model_dump_json())
    columns = {
        "method": ["vote"] * MANY,
        "question": ids,
        "task": ["made"] * MANY,
        "text": [f"Is it {n}?" for n in range(MANY)],
        "gold": ["Yes"] * MANY,
        "answer": ["Yes", "No"] * (MANY // 2),
        "outcome": ["right", "wrong"] * (MANY // 2),
        "experts": [["words"]] * MANY,
        "tokens": [10] * MANY,
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), runs / "run-199" / "answers.parquet")
