"""Two or more runs on the questions that they share: each method of one paired with the same method of the other."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import BadInput
from orchestrator.evaluation.answer import ANSWERS
from orchestrator.evaluation.report.data import RunReport
from orchestrator.evaluation.report.intervals import mcnemar, paired_difference
from orchestrator.evaluation.report.record import Interval
from orchestrator.pipelines.run_list import open_run

MAX_RUNS = 8
MAX_PAIRS = 64
"""Of two runs that have no method in common, and are compared method by method."""
JUDGED = frozenset("10au")
"""Letters of questions that were answered: an abstention and an unreadable reply are not right; a failure is neither
right nor wrong."""


@dataclass(frozen=True, slots=True)
class RunMethod:
    """One method of one run, on the shared questions that both answered."""

    run: str
    method: str
    value: float
    """Its share of right answers, 0..1."""


@dataclass(frozen=True, slots=True)
class RunComparison:
    """`first` minus `second`, paired by question."""

    first: RunMethod
    second: RunMethod
    difference: Interval
    p: float
    """Of the exact McNemar test."""


def compare_runs(folders: Sequence[Path], seed: int = 0) -> tuple[int, list[RunComparison]]:
    """(number of shared questions, pairs): every method that two runs have in common; of two that have none, each
    method of one with each of the other. None is chosen by these very answers; bounds, such as the oracle, are left
    out.

    Questions are shared if their id and their text are the same. Raises `BadInput` for fewer than two runs, for one
    that is no finished `run` or keeps no outcomes by question, and where no question is shared.
    """
    if not 2 <= len(folders) <= MAX_RUNS:
        raise BadInput(f"runs: two to {MAX_RUNS} runs are compared, not {len(folders)}")
    loaded = [(folder.name, *_outcomes(folder)) for folder in folders]
    ids = _shared(folders, [texts for _, texts, _ in loaded])
    found = []
    for (one, _, mine), (other, _, theirs) in itertools.combinations(loaded, 2):
        names = [(name, name) for name in mine if name in theirs] or list(itertools.product(mine, theirs))
        for left, right in names[:MAX_PAIRS]:
            pair = _pair((one, left, mine[left]), (other, right, theirs[right]), ids, seed)
            found += [pair] if pair else []
    return len(ids), found


def shared_questions(folders: Sequence[Path]) -> list[str]:
    """The ids of the questions that all these runs have, by id and text. Raises `BadInput` as `compare_runs` does."""
    return _shared(folders, [_outcomes(folder)[0] for folder in folders])


def _shared(folders: Sequence[Path], texts: Sequence[Mapping[str, str]]) -> list[str]:
    found = sorted(set.intersection(*(set(one.items()) for one in texts)))
    if not found:
        raise BadInput(f"runs: {', '.join(folder.name for folder in folders)} have no question in common")
    return [id for id, _ in found]


def _outcomes(folder: Path) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """({question id: text}, {method: {question id: letter}})."""
    import pyarrow.parquet

    report = getattr(open_run(folder), "report", None)
    file = folder / ANSWERS
    if not isinstance(report, RunReport) or not report.questions or not file.is_file():
        raise BadInput(f"{folder.name}: keeps no outcomes by question; only runs of `collegium run` are compared")
    rows = pyarrow.parquet.read_table(file, columns=["question", "text"]).to_pylist()
    letters = {
        one.method: dict(zip(report.questions, one.outcomes, strict=True))
        for one in report.methods
        if one.outcomes and one.role in ("method", "reference")
    }
    return {row["question"]: row["text"] for row in rows}, letters


def _pair(
    first: tuple[str, str, Mapping[str, str]], second: tuple[str, str, Mapping[str, str]], ids: Sequence[str], seed: int
) -> RunComparison | None:
    both = [id for id in ids if first[2].get(id) in JUDGED and second[2].get(id) in JUDGED]
    if not both:
        return None
    mine, theirs = ([float(one[2][id] == "1") for id in both] for one in (first, second))
    p = mcnemar(mine, theirs)
    assert p is not None
    return RunComparison(
        RunMethod(first[0], first[1], sum(mine) / len(mine)),
        RunMethod(second[0], second[1], sum(theirs) / len(theirs)),
        paired_difference(mine, theirs, seed=seed),
        p,
    )
