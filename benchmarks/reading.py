"""How fast questions are read, and in how much memory: python -m benchmarks.reading [--rows 1000000]"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.machine import conditions, write_result
from orchestrator.evaluation.tasks import source_of


def records(rows: int) -> Iterator[dict[str, Any]]:
    """Sums as questions."""
    return (
        {"id": str(n), "question": f"What is {n} + {n}? Give one number.", "answer": str(2 * n)} for n in range(rows)
    )


def written(folder: Path, rows: int) -> list[Path]:
    """The same questions as JSON Lines and CSV."""
    lines, table = folder / "questions.jsonl", folder / "questions.csv"
    with lines.open("w") as file:
        file.writelines(json.dumps(record) + "\n" for record in records(rows))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "question", "answer"])
        writer.writeheader()
        writer.writerows(records(rows))
    return [lines, table]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    output = []
    with tempfile.TemporaryDirectory() as folder:
        for path in written(Path(folder), rows):
            begun = time.process_time()
            count = sum(1 for _ in source_of(str(path)).questions())
            speed = count / (time.process_time() - begun)
            part = rows // 10
            peaks = []
            for share in (part // 2, part):
                tracemalloc.start()
                sum(1 for _ in islice(source_of(str(path)).questions(), share))
                peaks.append(tracemalloc.get_traced_memory()[1])
                tracemalloc.stop()
            output.append((f"{path.suffix}: questions per CPU second, {count:,} rows", f"{speed:,.0f}", ">= 50,000"))
            growth = (peaks[1] - peaks[0]) / (part - part // 2)
            output.append((f"{path.suffix}: bytes kept per row read (its id's hash)", f"{growth:.0f}", "< 100"))
    write_result("reading", "Reading questions", output, {"conditions": conditions(), "rows": output})


if __name__ == "__main__":
    main()
