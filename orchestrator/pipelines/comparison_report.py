"""Two or more runs as one report: each run's methods on the questions that all of them share, in the form of any run's
own page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.evaluation.answer import ANSWERS
from orchestrator.evaluation.answer_rows import LETTERS, NOT_ASKED
from orchestrator.evaluation.report.data import (
    Comparison,
    Cost,
    MethodResult,
    OutcomeCounts,
    RunReport,
    SampleAnswer,
    SampleQuestion,
)
from orchestrator.evaluation.report.intervals import wilson
from orchestrator.pipelines.run_comparison import RunMethod, compare_runs, shared_questions
from orchestrator.pipelines.run_list import open_run

KINDS = {letter: kind for kind, letter in LETTERS.items()}


def comparison_report(folders: Sequence[Path], command: str = "", seed: int = 0) -> RunReport:
    """The report of these runs of `collegium run`. Raises `BadInput` as `compare_runs` does."""
    _, pairs = compare_runs(folders, seed)
    ids = shared_questions(folders)
    runs = [_Run(folder, open_run(folder).report, _rows(folder)) for folder in folders]
    of = {run.folder.name: run for run in runs}

    def named(one: RunMethod) -> str:
        return of[one.run].named(one.method)

    splits = list(dict.fromkeys(run.report.split for run in runs))
    fitted = list(dict.fromkeys(run.report.fitted_on for run in runs if run.report.fitted_on))
    return RunReport(
        title=f"{' against '.join(of)}, on {len(ids)} shared questions",
        command=command,
        created=datetime.now(UTC),
        split=" and ".join(splits),
        fitted_on=" and ".join(fitted) if fitted != splits else "",
        seed=seed,
        methods=[method for run in runs for method in run.methods(ids)],
        questions=ids,
        comparisons=[
            Comparison(method=named(one.first), baseline=named(one.second), difference=one.difference, p=one.p)
            for one in pairs
        ],
        samples=_samples(runs, ids),
        manifest={f"{run.folder.name}: {name}": text for run in runs for name, text in _facts(run.report).items()},
        decisions=[
            f"{run.folder.name}: {len(ids)} of its {len(run.report.questions)} questions are shared by all runs"
            for run in runs
        ],
        warnings=[f"{run.folder.name}: {line}" for run in runs for line in run.report.warnings],
    )


def _facts(report: RunReport) -> dict[str, str]:
    own = {"command": report.command, "seed": str(report.seed), "created": report.created.isoformat(" ", "seconds")}
    return own | {"fitted on": report.fitted_on or "nothing was fitted", "engine": report.engine}


def _rows(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Method -> question id -> its row of answers.parquet."""
    import pyarrow.parquet

    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in pyarrow.parquet.read_table(folder / ANSWERS).to_pylist():
        found.setdefault(row.get("method", ""), {})[row["question"]] = row
    return found


@dataclass(frozen=True)
class _Run:
    folder: Path
    report: RunReport
    rows: Mapping[str, Mapping[str, Mapping[str, Any]]]

    def named(self, method: str) -> str:
        return f"{self.folder.name}: {method}"

    def methods(self, ids: Sequence[str]) -> list[MethodResult]:
        """This run's methods, but no bounds, on these questions."""
        return [
            self._method(one, ids)
            for one in self.report.methods
            if one.outcomes and one.role in ("method", "reference")
        ]

    def _method(self, one: MethodResult, ids: Sequence[str]) -> MethodResult:
        known = dict(zip(self.report.questions, one.outcomes, strict=True))
        letters = {id: known.get(id, NOT_ASKED) for id in ids}
        rows = self.rows.get(one.method, {})
        tasks: dict[str, list[str]] = {}
        for id, letter in letters.items():
            tasks.setdefault(str(rows.get(id, {}).get("task", "")), []).append(letter)
        answered = [rows[id] for id in ids if id in rows]
        whole = bool(answered) and all("prompt_tokens" in row for row in answered)
        counted = Counter(str(KINDS[letter]) for letter in letters.values() if letter in KINDS)
        return one.model_copy(
            update={
                "method": self.named(one.method),
                "accuracies": {task: _rate(found) for task, found in tasks.items()},
                "overall": _rate(list(letters.values())),
                "counts": OutcomeCounts(**counted),
                "outcomes": "".join(letters.values()),
                "metrics": (),
                "role": "method",
                "cost": Cost(
                    calls=sum(row["calls"] for row in answered),
                    cached_calls=sum(row["cached_calls"] for row in answered),
                    prompt_tokens=sum(row["prompt_tokens"] for row in answered),
                    completion_tokens=sum(row["completion_tokens"] for row in answered),
                )
                if whole
                else Cost(),
            }
        )


def _rate(letters: Sequence[str]) -> Any:
    judged = [letter for letter in letters if letter in "10au"]
    return wilson(judged.count("1"), len(judged))


def _samples(runs: Sequence[_Run], ids: Sequence[str]) -> list[SampleQuestion]:
    """Each shared question with what every run's methods and experts answered."""
    found: dict[str, SampleQuestion] = {}
    answers: dict[str, dict[str, SampleAnswer]] = {id: {} for id in ids}
    for run in runs:
        for one in run.report.samples:
            if one.id in answers:
                found.setdefault(one.id, one)
                answers[one.id] |= {run.named(name): answer for name, answer in one.answers.items()}
    return [found[id].model_copy(update={"answers": answers[id], "ranking": ()}) for id in ids if id in found]
