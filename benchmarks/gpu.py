"""`make gpu`: what only a machine with CUDA can show, in at most nine minutes.

The engines' conformance suite, swapping and sleeping by the clock, and a short training. What is not installed there
(vLLM, say) is skipped by the steps themselves and told. Results: benchmarks/results/gpu.md, with the machine named.
"""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.machine import conditions, write_result

STEPS: tuple[tuple[str, list[str], float], ...] = (
    ("conformance of all engines", ["-m", "pytest", "-q", "tests/orchestrator/inference/engines"], 240),
    ("swap and sleep", ["-m", "benchmarks.engine_swap"], 150),
    ("training an adapter", ["-m", "pytest", "-q", "tests/orchestrator/pipelines/test_adapter_training.py"], 120),
)
"""(what, arguments of Python, most seconds)"""


def main() -> int:
    import torch

    if not torch.cuda.is_available():
        print("make gpu needs a CUDA device; torch sees none here", file=sys.stderr)
        return 1
    noted = {**conditions(), "GPU": torch.cuda.get_device_name()}
    rows: list[tuple[str, str, str]] = []
    failed = False
    for what, arguments, limit in STEPS:
        started = time.monotonic()
        try:
            done = subprocess.run([sys.executable, *arguments], timeout=limit, check=False)
            outcome = "passed" if done.returncode == 0 else f"failed with code {done.returncode}"
        except subprocess.TimeoutExpired:
            outcome = "out of time"
        failed |= outcome != "passed"
        rows.append((what, f"{outcome} after {time.monotonic() - started:.0f} s", f"at most {limit:.0f} s"))
    write_result("gpu", "On a GPU", rows, {"conditions": noted})
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
