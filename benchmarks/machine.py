"""What every benchmark notes: the machine, its load, the versions; and how results are written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def conditions() -> dict[str, str]:
    """Where and under what load this runs."""
    import psutil

    from orchestrator.run_folder import engine_version, machine

    foreign = psutil.cpu_percent(interval=2.0)
    return {
        "machine": machine(),
        "foreign load": f"{foreign:.0f}% of all cores in the two seconds before",
        "load average": " ".join(f"{value:.2f}" for value in os.getloadavg()),
        "engine": engine_version("vllm"),
        "python": sys.version.split()[0],
        "revision": revision(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def revision(folder: Path = RESULTS) -> str:
    """The source revision around `folder`; `-dirty` where code differs from it.

    Tables do not count: a run rewrites its own, and an edited table changes no figure.
    """
    described = _git(folder, "describe", "--always")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ":/", ":/!benchmarks/results")
    return (f"{described}-dirty" if changed else described) or "unknown"


def _git(folder: Path, *command: str) -> str:
    try:
        completed = subprocess.run(["git", "-C", str(folder), *command], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return completed.stdout.strip()


def figures_of(python: str, program: str, *arguments: str) -> Any:
    """What a program, run by that interpreter, prints as JSON behind the word RESULT."""
    done = subprocess.run([python, "-c", program, *arguments], capture_output=True, text=True, check=False)
    report = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not report:
        raise SystemExit(f"{python}: {done.stderr[-2000:]}")
    return json.loads(report[-1].removeprefix("RESULT "))


def write_result(
    name: str, title: str, rows: Sequence[tuple[str, str, str]], result: dict[str, Any], note: str = ""
) -> None:
    """Print the table, and keep it with all raw numbers in benchmarks/results."""
    command = "python -m benchmarks." + " ".join([Path(sys.argv[0]).stem, *sys.argv[1:]])
    lines = [f"# {title}", "", f"`{command}`", ""]
    lines += [f"- {key}: {value}" for key, value in result.get("conditions", {}).items()]
    lines += ["", "| measured | value | wanted |", "| --- | --- | --- |"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    text = "\n".join([*lines, *(["", note] if note else [])]) + "\n"
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
