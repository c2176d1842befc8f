"""What the glue pipeline reports: the ways side by side, on the split that nothing was decided on."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from orchestrator.evaluation.answer import RunResult
from orchestrator.evaluation.report.data import Clustering, Comparison, Glue, RunReport
from orchestrator.evaluation.report.intervals import paired_difference
from orchestrator.evaluation.report.record import Interval

BEST, FULL, GLUE = "best single expert", "full merging", "Model-GLUE"
UNMERGED = "mixture of all, unmerged"
MIXTURE = " mixture"
"""After the form of the one that is written as a checkpoint."""


def glue_report(
    results: Mapping[str, RunResult], clustering: Clustering, record: Glue, family: Sequence[str], seed: int
) -> RunReport:
    """`results`: one of the names above -> what it answered; `family`: the experts that full merging merges."""
    methods = []
    for name, result in results.items():
        found = result.report.methods[0]
        note = _note(name, record, family) or found.note
        methods.append(found.model_copy(update={"method": name, "note": note}))
    return results[GLUE].report.model_copy(
        update={
            "title": f"Model-GLUE of {len(record.fates)} experts",
            "command": " ".join(["collegium", *sys.argv[1:]]),
            "created": datetime.now(UTC),
            "methods": methods,
            "matrix": None,
            "comparisons": [
                Comparison(method=GLUE, baseline=name, difference=_difference(results[GLUE], result, seed))
                for name, result in results.items()
                if name != GLUE
            ],
            "clustering": clustering,
            "glue": record,
        }
    )


def _difference(one: RunResult, other: RunResult, seed: int) -> Interval:
    """Paired over the questions that both answered."""
    mine, theirs = _rights(one), _rights(other)
    both = [id for id in mine if id in theirs]
    return paired_difference([mine[id] for id in both], [theirs[id] for id in both], seed=seed)


def _rights(result: RunResult) -> dict[str, float]:
    return {one.question.id: float(one.right) for one in result.outcomes[0].answers}


def _note(name: str, record: Glue, family: Sequence[str]) -> str:
    """A line for the reader, where the method's own would not do."""
    if name.endswith(MIXTURE):
        form, _, dense = name.removesuffix(MIXTURE).partition("-hybrid-")
        level, gate, route = form.split("-")
        parts = [
            "members of the largest shape as one checkpoint",
            {"F": "their MLPs are the experts", "B": "their layers are the experts"}[level],
            {"L": "training-free gates", "M": "trained gates of two layers"}[gate],
            {"T": "a route a token", "S": "one route for the whole answer"}[route],
            *([f"the lowest {dense} layers merged instead of routed"] if dense else []),
        ]
        return ", ".join(parts)
    if name == UNMERGED:
        return f"all {len(record.fates)} experts as they are behind the router; nothing merged, nobody dropped"
    for one in record.searches:
        if name == FULL and set(one.sources) == set(family):
            found = ", ".join(f"{source} {weight:g}" for source, weight in one.weights.items())
            return f"{one.method}: {found}; the best merge of {len(family)} experts of one shape"
    return ""
