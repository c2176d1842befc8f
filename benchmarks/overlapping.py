"""Model-GLUE where merging can help: eight fine-tunes of one base on overlapping data.

    python -m benchmarks.overlapping [--folder FOLDER] [--state STATE]

Each is a LoRA fine-tune of the demo's base on 160 worked solutions of two or three of three tasks, so that every task
is in five or six of the eight training sets (as the twelve Llama-2 models of the paper overlap); two seeds. The zoo
has one cluster by weights; its merges are searched with CMA-ES. Beside Model-GLUE stand the best single fine-tune, all
merged, and the mixture of all without any merge. Everything is decided on the validation split and reported on test.
With `--folder` and `--state` earlier adapters and replies are used again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
import time
from pathlib import Path

from benchmarks.accuracy import formatted
from benchmarks.machine import conditions, write_result
from orchestrator import Collegium
from orchestrator.pipelines.adapter_training import AdapterSpec, train
from orchestrator.pipelines.glue import GlueRequest
from orchestrator.pipelines.training_examples import Portions

TASKS = ("boolean_expressions", "coin_flip", "shuffled_objects")
OWN = ((0, 1), (1, 2), (2, 0), (0, 1, 2))
SOLUTIONS = 160
BASE = "demo/SmolLM2-135M-Instruct"


def zoo(folder: Path) -> dict[str, dict[str, str]]:
    """The base and its eight fine-tunes as a configuration has them; trains those that are not there yet."""
    experts = {"base": {"model": BASE}}
    for number in range(2 * len(OWN)):
        own = tuple(TASKS[index] for index in OWN[number % len(OWN)])
        portions = Portions(solve=SOLUTIONS, attempt=0, reconsider=0, follow=0, keywords=0)
        seed = number // len(OWN) * 1000
        spec = AdapterSpec(name=f"tune-{number + 1}", tasks=own, portions=portions, seed=seed, learning_rate=1e-3)
        if not (folder / spec.name / "adapter_config.json").exists():
            train(spec, folder / spec.name)
        experts[spec.name] = {"model": BASE, "adapter": str(folder / spec.name)}
    return experts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=120)
    parser.add_argument("--select-questions", type=int, default=72)
    parser.add_argument("--trials", type=int, default=24, help="CMA-ES candidates")
    parser.add_argument("--folder", type=Path, help="for the adapters; default: a fresh one")
    parser.add_argument("--state", help="state folder; default: a fresh one")
    given = parser.parse_args()
    noted = conditions()
    request = GlueRequest(
        task=",".join(TASKS),
        questions=given.questions,
        select_questions=given.select_questions,
        by="weights",
        method="linear",
        trials=given.trials,
        sample=given.select_questions // 3,
    )
    with contextlib.ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        state = given.state or stack.enter_context(tempfile.TemporaryDirectory())
        settings = {"experts": zoo(folder), "state": state, "workers": {"in_process": True}}
        collegium = stack.enter_context(Collegium(settings))
        began = time.monotonic()
        result = asyncio.run(collegium.aglue(request))
        seconds = time.monotonic() - began
    report = result.report
    assert report.glue is not None
    rows = [(f"{method.method} ({method.note})", f"{formatted(method.overall)} %", "") for method in report.methods]
    rows += [
        (f"{one.method} minus {one.baseline}, paired", f"{formatted(one.difference)} points", "")
        for one in report.comparisons
    ]
    rows.append(("seconds of the pipeline", f"{seconds:.0f}", ""))
    lines = [f"Decided on {report.glue.decided_on}:", "", "| expert | fate | why |", "| --- | --- | --- |"]
    lines += [f"| {fate.expert} | {fate.fate} | {fate.why} |" for fate in report.glue.fates]
    for search in report.glue.searches:
        lines += ["", f"{search.name} ({search.method}, {len(search.trials)} candidates):", ""]
        lines += ["| candidate | stage | weights | right | questions |", "| --- | --- | --- | --- | --- |"]
        for number, trial in enumerate(search.trials, 1):
            weights = ", ".join(f"{name} {weight:.2f}" for name, weight in trial.weights.items())
            lines.append(f"| {number} | {trial.stage} | {weights} | {trial.score:.1%} | {trial.questions} |")
    raw = {"conditions": noted, "report": report.model_dump(mode="json", exclude={"samples", "timeline"})}
    title = "Model-GLUE on eight fine-tunes of one base on overlapping data"
    write_result("overlapping", title, rows, raw, "\n".join(lines))


if __name__ == "__main__":
    main()
