"""How long `collegium --help` takes, against Python itself.

python -m benchmarks.start
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.machine import conditions, write_result

RUNS = 15


def seconds(command: list[str]) -> float:
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    result = {"conditions": conditions()}
    script = Path(sys.executable).with_name("collegium")
    empty = seconds([sys.executable, "-c", "pass"])
    report = seconds([str(script), "--help"])
    rows = [
        ("python -c pass, median", f"{empty * 1000:.0f} ms", ""),
        ("collegium --help, median", f"{report * 1000:.0f} ms", "under 300 ms"),
    ]
    write_result("start", "Start of the command line", rows, result)


if __name__ == "__main__":
    main()
