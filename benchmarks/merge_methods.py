"""Merge methods compared on the demo zoo's five fine-tunes of one base: python -m benchmarks.merge_methods

Measured is the loss per token of worked solutions (in nats, the tasks' mean), on the six tasks that the fine-tunes
were made for: a figure of the weights alone, in which no reply is generated or judged. Each method's settings are
chosen on the validation split, and its loss is reported on the test split. Beside them stand the base, each fine-tune
on all tasks, and every task's own fine-tune (what a router could reach at best).

Methods that want statistics get them from texts of the training split. MetaGPT's weights are squared norms of the
whole models' task vectors, https://arxiv.org/abs/2406.11385: task_arithmetic with these weights.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents import prompts
from benchmarks.machine import conditions, write_result
from distill.rows import tokenised
from distill.supervised import Example
from merging.merge import merge
from merging.recipe_file import parse
from orchestrator.config import demo_zoo
from orchestrator.evaluation.tasks.registry import GENERATED
from orchestrator.experts import demo, statistics

OWN = {
    "arithmetic": ("arithmetic",),
    "letters": ("last_letters",),
    "calendar": ("dates",),
    "tracker": ("shuffled_objects", "coin_flip"),
    "logic": ("boolean_expressions",),
}
TASKS = tuple(task for tasks in OWN.values() for task in tasks)
SCALES = (0.2, 0.3, 0.5, 0.7, 1.0)
WIDE = (1.0, 1.5, 2.0, 3.0)
Row = tuple[str, list[int], list[int]]
"""A task, a prompt's tokens and the solution's."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=8, help="per task and split")
    given = parser.parse_args()
    noted = conditions()
    where = Path(tempfile.mkdtemp(prefix="merge-methods-"))
    try:
        base = demo.locate(demo.FULL)
        models = {name: written(where / name, f"{base}+{demo_zoo().parent / name}") for name in OWN}
        splits = {split: rows(base, split, given.questions) for split in ("validation", "test")}
        alone = {name: losses(folder, splits["test"]) for name, folder in {"base": base, **models}.items()}
        best = {task: alone[name][task] for name, tasks in OWN.items() for task in tasks}
        found: dict[str, Any] = {name: {"test": value} for name, value in alone.items()}
        for method, settings in candidates(base, models, where):
            tried = []
            for label, raw in settings:
                folder = written(where / "merged", raw)
                tried.append((mean(losses(folder, splits["validation"])), label, losses(folder, splits["test"])))
                print(method, label, f"{tried[-1][0]:.4f} {mean(tried[-1][2]):.4f}", flush=True)
            chosen = min(tried, key=lambda item: item[0])
            found[method] = {
                "validation": chosen[0],
                "setting": chosen[1],
                "test": chosen[2],
                "tried": [(label, value, mean(each)) for value, label, each in tried],
            }
    finally:
        shutil.rmtree(where)
    lines = [("each task's own fine-tune (unmerged)", f"{mean(best):.3f}", "")]
    for name, value in sorted(found.items(), key=lambda item: mean(item[1]["test"])):
        setting = f", {value['setting']}" if value.get("setting") else ""
        alone_mark = " (alone)" if name in alone else ""
        lines.append((f"{name}{alone_mark}{setting}", f"{mean(value['test']):.3f}", ""))
    questions = f"{given.questions} questions of each of {len(TASKS)} tasks and each split"
    note = f"Loss per token of worked solutions, mean of the tasks, {questions}; settings chosen on validation."
    title = "Merge methods on five fine-tunes of one base"
    write_result("merge_methods", title, lines, {"conditions": noted, "found": found}, note)


def candidates(
    base: Path, models: Mapping[str, Path], where: Path
) -> Iterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    """(method, its settings as (label, recipe))."""

    def recipe(method: str, each: Sequence[dict[str, Any]] | None = None, **shared: Any) -> dict[str, Any]:
        listed = [
            {"model": str(model), "parameters": own}
            for model, own in zip(models.values(), each or [{}] * len(models), strict=True)
        ]
        based = {} if method in ("linear", "karcher", "regmean", "fisher") else {"base_model": str(base)}
        return {"merge_method": method, **based, "models": listed, "parameters": shared, "dtype": "float32"}

    equal = [{"weight": 1.0}] * len(models)
    yield "linear", [("equal weights", recipe("linear", equal))]
    yield (
        "task_arithmetic",
        [(f"lambda {scale}", recipe("task_arithmetic", equal, **{"lambda": scale})) for scale in SCALES],
    )
    norms = squared_norms(base, models)
    shares = [{"weight": value / sum(norms)} for value in norms]
    yield (
        "task_arithmetic, MetaGPT's weights",
        [(f"lambda {scale}", recipe("task_arithmetic", shares, **{"lambda": scale})) for scale in WIDE],
    )
    thin = [{"weight": 1.0, "density": 0.2}] * len(models)
    yield "ties", [(f"density 0.2, lambda {scale}", recipe("ties", thin, **{"lambda": scale})) for scale in WIDE]
    yield "model_stock", [("", recipe("model_stock"))]
    yield "sce", [(f"select_topk {share}", recipe("sce", select_topk=share)) for share in (0.1, 1.0)]
    yield "ram", [("", recipe("ram"))]
    yield "karcher", [("", recipe("karcher"))]
    for method, scales in (("nan", WIDE), ("iso_c", (0.5, *WIDE)), ("tsv_m", (0.5, 1.0, 1.5))):
        yield method, [(f"lambda {scale}", recipe(method, **{"lambda": scale})) for scale in scales]
    for method, kind in (("regmean", "gram"), ("fisher", "fisher")):
        files = gathered(models, where, kind)
        yield method, [("", recipe(method, [{"statistics": str(file)} for file in files]))]


def written(out: Path, raw: str | dict[str, Any]) -> Path:
    """Merge a recipe, or a model with its adapter, to `out`, anew."""
    shutil.rmtree(out, ignore_errors=True)
    listed = [{"model": raw}] if isinstance(raw, str) else []
    recipe = {"merge_method": "passthrough", "models": listed, "dtype": "float32"} if isinstance(raw, str) else raw
    merge(parse(recipe), out)
    return out


def rows(base: Path, split: Any, questions: int) -> list[Row]:
    """Questions of every task with their worked solutions, in tokens."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base, trust_remote_code=False)
    made = []
    for task in GENERATED:
        for problem in task.problems(split, questions) if task.name in TASKS else ():
            reply = f"{problem.solution}\nAnswer: {problem.question.answer}\nConfidence: 0.9"
            example = Example(messages=prompts.solve(problem.question), reply=((reply, True),))
            row = tokenised(example.lesson(""), tokenizer)
            made.append((task.name, row.prompt, row.replies[0]))
    return made


def losses(folder: Path, rows: Sequence[Row]) -> dict[str, float]:
    """Task -> mean over its questions of the loss per token of the solution."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, trust_remote_code=False)
    found: dict[str, list[float]] = {}
    with torch.inference_mode():
        for task, prompt, reply in rows:
            logits = model(torch.tensor([[*prompt, *reply]])).logits[0, len(prompt) - 1 : -1]
            value = torch.nn.functional.cross_entropy(logits, torch.tensor(reply))
            found.setdefault(task, []).append(float(value))
    return {task: float(np.mean(values)) for task, values in found.items()}


def mean(by_task: Mapping[str, float]) -> float:
    return float(np.mean(list(by_task.values())))


def squared_norms(base: Path, models: Mapping[str, Path]) -> list[float]:
    from merging.checkpoint import Checkpoint
    from merging.slab import Plain

    found = []
    start = Checkpoint(base)
    for folder in models.values():
        model, total = Checkpoint(folder), 0.0
        for name, info in start.tensors.items():
            size = int(np.prod(info.shape))
            mine, below = np.empty(size, np.float32), np.empty(size, np.float32)
            Plain(model, name).read(0, size, mine)
            Plain(start, name).read(0, size, below)
            total += float(np.square(mine - below, dtype=np.float64).sum())
        found.append(total)
    return found


def gathered(models: Mapping[str, Path], where: Path, kind: Any) -> list[Path]:
    """Statistics of each model over texts of its own tasks, from the training split."""
    files = []
    for name, folder in models.items():
        texts = [
            f"{problem.question.question}\n{problem.solution}\nAnswer: {problem.question.answer}"
            for task in GENERATED
            if task.name in OWN[name]
            for problem in task.problems("train", 24)
        ]
        files.append(where / f"{name}-{kind}.safetensors")
        statistics.gather(folder, texts, kind, files[-1])
    return files


if __name__ == "__main__":
    main()
