"""The paper's table: seven mixtures on the demo zoo beside the best single expert, full merging and Model-GLUE.

    python -m benchmarks.mixtures --rows glue
    python -m benchmarks.mixtures --rows F-L-T,F-L-S,F-M-T,F-M-S,B-L-S,B-M-S

`glue` is the product's pipeline (its mixture is M-L-S, the model level); it also decides who is a member. The other
forms are one checkpoint of the members of the largest shape each, answered by the transformers engine. Everything is
decided on the validation split and reported on the test split. Rows are added to those that are there, and replies
that the state folder has are used again, so that a run that was cut short goes on. `+trained` after a linear form:
gates by regression, not from prompts alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.accuracy import formatted
from benchmarks.machine import RESULTS, conditions, write_result
from orchestrator import Collegium
from orchestrator.evaluation.answering import answer_all
from orchestrator.evaluation.profile import questions_of
from orchestrator.evaluation.report.intervals import paired_difference, wilson
from orchestrator.pipelines.glue import GlueRequest
from orchestrator.pipelines.glue_report import BEST, FULL, GLUE
from orchestrator.pipelines.mixture_checkpoint import FORMS, mixture_checkpoint

KEPT = RESULTS / "mixtures.json"
NAMES = {BEST: BEST, FULL: FULL, GLUE: "Model-GLUE (M-L-S)"}
TASK = "mixed"

Rights = dict[str, bool]


def glue_rows(state: str, count: int, select: int, full: bool) -> dict[str, Any]:
    """The three rows of the glue pipeline, and for whom the other forms' gates are made."""
    request = GlueRequest(questions=count, select_questions=select, trials=0, method="linear", full_merging=full)
    with Collegium({"zoo": "demo", "state": state, "workers": {"in_process": True}}) as collegium:
        result = asyncio.run(collegium.aglue(request))
    kept = list(result.zoo["experts"])
    rows = {
        NAMES[name]: {
            "rights": {one.question.id: one.right for one in found.outcomes[0].answers},
            "note": next(method.note for method in result.report.methods if method.method == name),
        }
        for name, found in result.results.items()
    }
    table = result.profile.table
    experts = [name for name in table.experts if name in kept and collegium.experts[name].shape == _shape(collegium)]
    owners: dict[str, str] = {}
    for row, question in zip(table.correct, table.ids, strict=True):
        right = [name for name, value in zip(table.experts, row, strict=True) if name in experts and value > 0]
        if len(right) == 1:
            owners[question] = right[0]
    return {"rows": rows, "members": kept, "experts": experts, "owners": owners, "counts": [count, select]}


def _shape(collegium: Collegium) -> str:
    """The shape that most experts have."""
    shapes = [expert.shape for expert in collegium.experts.values()]
    return max(sorted(set(shapes)), key=shapes.count)


def form_row(state: str, name: str, kept: dict[str, Any]) -> dict[str, Any]:
    """One form's answers to the test questions."""
    form, _, learnt = name.partition("+")
    count, select = kept["counts"]
    decided = questions_of(TASK, "validation", select, 0)
    experts, owners = kept["experts"], kept["owners"]
    places = [experts.index(owners[one.id]) if one.id in owners else None for one in decided]
    began = time.monotonic()
    with Collegium({"zoo": "demo", "state": state, "workers": {"in_process": True, "engine": "transformers"}}) as made:
        members = [made.experts[one] for one in experts]
        expert = mixture_checkpoint(
            members,
            decided,
            places,
            made.config,
            next(one for one in FORMS if one == form),
            "trained" if learnt else "prompts",
        )
        questions = questions_of(TASK, "test", count, 0)
        sampling = GlueRequest().sampling
        answered = asyncio.run(answer_all(made.pool, [expert], questions, sampling, 0))
        generated = made.progress.submitted if made.progress else 0
    tokens = sum(one.completion.completion_tokens for one in answered.values() if one.completion)
    note = f"{len(experts)} experts, {expert.file_bytes / 1e6:.0f} MB"
    return {
        "rights": {one: answer.right for (one, _), answer in answered.items()},
        "note": note,
        "seconds": time.monotonic() - began,
        "generated": generated,
        "tokens": tokens,
    }


def report(kept: dict[str, Any]) -> None:
    """Write the table of all rows that are there."""
    names = [*NAMES.values(), *(f"{form}{more}" for form in FORMS for more in ("", "+trained"))]
    best: Rights = kept["rows"][BEST]["rights"]
    lines = []
    for name in names:
        row = kept["rows"].get(name)
        if row is None:
            continue
        rights: Rights = row["rights"]
        overall = wilson(sum(rights.values()), len(rights))
        ids = [one for one in rights if one in best]
        against = paired_difference([float(rights[one]) for one in ids], [float(best[one]) for one in ids])
        report = "" if name == BEST else f"{formatted(against)} points"
        lines.append((f"{name}: {row['note']}", f"{formatted(overall)} % of {overall.n}", report))
    owned = ", ".join(f"{name} {list(kept['owners'].values()).count(name)}" for name in kept["experts"])
    note = (
        "Percent right on the test split with 95% Wilson intervals; the last column is the paired difference to the "
        f"best single expert. Members of Model-GLUE: {', '.join(kept['members'])}. The forms' experts are those of "
        f"them that have the largest shape; gates are made of the validation questions that one of them alone has "
        f"right ({owned}). F: MLPs, B: whole layers, M: whole models as experts; L: linear gates (training-free from "
        "prompts; +trained: by regression), M: gates with a hidden layer, trained; T: a route a token, S: one for the "
        "whole answer."
    )
    write_result("mixtures", "Seven mixtures on the demo zoo, version 1", lines, kept, note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=96)
    parser.add_argument("--select-questions", type=int, default=96)
    parser.add_argument("--rows", default=",".join(["glue", *FORMS]))
    parser.add_argument("--without-full", action="store_true", help="do not search for the best full merge")
    parser.add_argument("--state", default=str(Path(tempfile.gettempdir()) / "collegium-mixtures"), help="kept")
    given = parser.parse_args()
    noted = conditions()
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {"rows": {}}
    for name in given.rows.split(","):
        if name == "glue":
            kept = glue_rows(given.state, given.questions, given.select_questions, not given.without_full)
        else:
            kept["rows"][name] = form_row(given.state, name, kept)
        kept["conditions"] = noted
        report(kept)


if __name__ == "__main__":
    main()
