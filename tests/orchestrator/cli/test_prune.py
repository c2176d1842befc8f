"""How pruning looks in a terminal."""

from __future__ import annotations

import json
import re
from pathlib import Path

from click.testing import CliRunner

from orchestrator.cli import group


def told(*arguments: str) -> str:
    result = CliRunner().invoke(group, ["prune", *arguments])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def test_people_see_the_curve_and_both_sets(place: Path) -> None:
    parts = ("table.jsonl", "--train-split", "val", "--test-split", "dev")
    curve = told(*parts, "--keep", "1")
    assert re.search(r"experts +left +was asked +deciding questions +tested questions +against all", curve)
    assert re.search(r"1 +\w+ +\d+\.\d% +\d+\.\d% +\d+\.\d% \(\d+\.\d to \d+\.\d\) +-\d+\.\d points .*kept", curve)
    assert "decided on 30 questions of split val; reported on split dev (30)" in curve
    sets = told(*parts, "--retire", "rivers", "--out", "less.yaml")
    assert "Forget set (rivers; 15 questions)" in sets
    assert "Retain set (sums; 15 questions)" in sets
    assert f"Configuration: {place / 'less.yaml'}" in sets


def test_hostile_names_cannot_steer_the_terminal(place: Path) -> None:
    name = "a\x1b[31m"
    rows = [
        {
            "id": n,
            "question": f"q {n}",
            "task": name,
            "split": ("train", "test")[n % 2],
            "correct": {name: n % 3, "b": 1},
        }
        for n in range(24)
    ]
    for row in rows:
        row["correct"][name] = min(row["correct"][name], 1)
    (place / "h.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "\x1b[31m" not in told("h.jsonl", "--retire", name)
    assert "\x1b[31m" not in told("h.jsonl")
