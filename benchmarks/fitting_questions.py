"""How many questions a router needs: the mixture fitted on more and more of them, beside the best single expert.

    python -m benchmarks.fitting_questions [--zoo demo2 --task mixed2 --seeds 0,1,2 --state FOLDER]

Every expert answers the validation and test questions of all seeds once (with the state of `benchmarks.evidence`
nothing is generated anew). The mixture is fitted on a part of the validation questions, drawn with seed 0, equally many
of each task, and decides on the test questions by the product's own code. `knows the task`: whoever is told each
question's task asks the expert that was best at it on the same fitted questions; no router is told.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy import formatted
from benchmarks.machine import conditions, write_result
from orchestrator import Collegium
from orchestrator.evaluation.mixture.deciding import RecruitTarget
from orchestrator.evaluation.mixture.default_expert import default_expert
from orchestrator.evaluation.mixture.fit import fit_features
from orchestrator.evaluation.mixture.options import FittingOptions
from orchestrator.evaluation.mixture.recorded import decisions_by, score_of
from orchestrator.evaluation.report.formats import probability
from orchestrator.evaluation.report.intervals import mcnemar, paired_difference, wilson
from orchestrator.inference.expert import Expert
from router import Embedder, Table

Rights = NDArray[np.float64]


def asked(collegium: Collegium, task: str, split: str, seeds: Sequence[int], count: int) -> Table:
    """What every expert made of the questions of all seeds."""
    rows, experts = [], ()
    for seed in seeds:
        wanted = {"task": task, "split": split, "questions": count, "seed": seed, "logprobs": True}
        found = asyncio.run(collegium.aprofile(**wanted)).table
        rows += list(found.rows)
        experts = found.experts
    return Table.from_rows(rows, experts)


def tables(
    zoo: str, task: str, seeds: Sequence[int], count: int, state: Path
) -> tuple[Table, Table, Mapping[str, Expert]]:
    """What every expert of a zoo made of the validation and the test questions of all seeds, and the experts."""
    with Collegium({"zoo": zoo, "state": str(state), "workers": {"in_process": True}}) as collegium:
        fit, test = (asked(collegium, task, split, seeds, count) for split in ("validation", "test"))
        return fit, test, collegium.experts


def part(table: Table, per_task: int) -> list[int]:
    """Places of so many questions of each task."""
    order = np.random.default_rng(0).permutation(len(table.rows))
    taken: dict[str | None, list[int]] = {}
    for place in order.tolist():
        taken.setdefault(table.rows[place].task, []).append(place)
    return sorted(place for places in taken.values() for place in places[:per_task])


def ways(fit: Table, test: Table, embedder: Embedder, experts: Mapping[str, Expert]) -> dict[str, Rights]:
    """Way to answer -> 1 where it is right, of each test question."""
    correct, known = np.nan_to_num(test.correct).astype(np.float64), np.nan_to_num(fit.correct)
    best = np.argsort(-known.mean(0), kind="stable")
    features = embedder.features(test.questions)
    mixture = fit_features(fit, embedder.features(fit.questions), FittingOptions(), "")
    rankings = mixture.rank(features, default_expert(mixture, experts, None))
    decided = decisions_by(mixture, rankings, test, [RecruitTarget(1), RecruitTarget(calls=1.5), RecruitTarget(3)])
    one, need, three = (
        np.array([score_of(row, each) for row, each in zip(test.rows, some, strict=True)]) for some in decided
    )
    told = np.zeros(len(test.rows))
    for task in {row.task for row in test.rows}:
        rows = [number for number, row in enumerate(fit.rows) if row.task == task]
        mine = known[rows].mean(0) + 1e-3 * known.mean(0) if rows else known.mean(0)
        for number, row in enumerate(test.rows):
            if row.task == task:
                told[number] = correct[number, int(mine.argmax())]
    calls = np.mean([len(each.asked) for each in decided[1]])
    return {
        "best single expert": correct[:, best[0]],
        "mixture, one asked": one,
        f"mixture by need, {calls:.2f} calls (at most 1.5 wanted)": need,
        "mixture, three asked": three,
        "knows the task": told,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zoo", default="demo2")
    parser.add_argument("--task", default="mixed2")
    parser.add_argument("--questions", type=int, default=96, help="of each split and seed")
    parser.add_argument("--per-task", default="4,8,16,24", help="fitted questions of each task")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--state", type=Path)
    parser.add_argument("--name", default="fitting_questions", help="of the result's file")
    given = parser.parse_args()
    noted = conditions()
    seeds = [int(seed) for seed in given.seeds.split(",")]
    with contextlib.ExitStack() as stack:
        state = given.state or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        fit, test, experts = tables(given.zoo, given.task, seeds, given.questions, state)
    embedder = Embedder(cache=state if given.state else None)
    rows, raw = [], {}
    for per_task in map(int, given.per_task.split(",")):
        chosen = fit.take(part(fit, per_task))
        found = ways(chosen, test, embedder, experts)
        base = found["best single expert"].tolist()
        for name, right in found.items():
            against = ""
            if name != "best single expert":
                p = probability(mcnemar(right.tolist(), base))
                against = f"minus the best {formatted(paired_difference(right.tolist(), base))} points, McNemar p {p}"
            share = formatted(wilson(int(right.sum()), len(right)))
            rows.append((f"fitted on {len(chosen.rows)} ({per_task} of each task): {name}", f"{share} %", against))
        raw[len(chosen.rows)] = {name: "".join(str(int(one)) for one in right) for name, right in found.items()}
    note = (
        f"{len(test.rows)} test questions of the seeds {given.seeds}, all tasks of {given.task}; fitted on validation "
    )
    note += "questions of these seeds. Test questions are in other words than validation questions. Intervals are 95%."
    title = f"How many questions a router needs: zoo {given.zoo}, task {given.task}"
    write_result(given.name, title, rows, {"conditions": noted, "right": raw}, note)


if __name__ == "__main__":
    main()
