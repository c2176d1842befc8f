"""Which merge methods pay: each one on the fine-tunes of `benchmarks.overlapping`.

    python -m benchmarks.merge_methods [--folder FOLDER] [--state STATE]

Every method merges the same eight fine-tunes once, to disk. What it adds to the base is scaled by each of `--scales`;
the scale that answers most validation questions right is reported on the test split. Two candidates that the library
does not have (data-free RegMean, Iso-CTS) stand beside its methods. `nearswap`, `arcee_fusion`, `slerp` and `nuslerp`
merge two models, `fisher` and `regmean` need data: none of them is here. With `--folder` and `--state` earlier
adapters, merges and replies are used again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy import formatted
from benchmarks.machine import conditions, write_result
from benchmarks.overlapping import BASE, TASKS, zoo
from merging.methods.algebra import shifted
from merging.methods.method import FinishBlock, MergeMethod, Values
from merging.stack import Block, Stack
from orchestrator import Collegium
from orchestrator.evaluation.report.intervals import paired_difference, wilson
from orchestrator.experts.demo import locate

SCALES = (1.0, 2.0)
METHODS: Mapping[str, dict[str, Any]] = {
    "linear": {"weight": 1},
    "ties": {"weight": 1, "density": 0.2},
    "dare_linear": {"weight": 0.125, "density": 0.5},
    "dare_ties": {"weight": 0.125, "density": 0.5},
    "della": {"weight": 0.125, "density": 0.5, "epsilon": 0.1},
    "breadcrumbs": {"weight": 0.125, "density": 0.9, "gamma": 0.01},
    "model_stock": {},
    "sce": {"select_topk": 0.1},
    "karcher": {},
    "multislerp": {"weight": 1},
    "ram": {},
    "ramplus_tl": {},
    "tsv_m": {},
    "iso_c": {},
    "benchmarks.merge_methods:DATA_FREE_REGMEAN": {},
    "benchmarks.merge_methods:ISO_CTS": {},
}
"""Method -> parameters of every source and of the merge. linear is the mean: task_arithmetic at the scales."""
WITHOUT_BASE = ("linear", "karcher")
RIDGE = 1e-3
COMMON = 0.8
"""Share of Iso-CTS's singular vectors that come from the sum of the task vectors, as in its paper."""


def _matrices(stack: Stack) -> np.ndarray[Any, Any]:
    taus = np.empty((len(stack.sources), stack.size), stack.work)
    for block in stack.blocks(True, False):
        taus[:, block.start : block.stop] = block.rows
    return taus.reshape(len(stack.sources), *stack.shape)


def _added(stack: Stack, change: np.ndarray[Any, Any]) -> FinishBlock:
    flat = change.reshape(-1).astype(stack.work)

    def finish(block: Block) -> None:
        block.out[:] = block.base + flat[block.start : block.stop]

    return finish


def _apart(stack: Stack) -> bool:
    """Not a matrix that layers multiply with: averaged, as in the papers."""
    return len(stack.shape) != 2 or "embed" in stack.name


def data_free_regmean(stack: Stack, values: Values) -> FinishBlock:
    """RegMean where each source's inputs are taken to be its task vector's rows: the least squares solution of what
    WUDI-Merging (https://arxiv.org/abs/2503.08099) descends to."""
    if _apart(stack):
        return shifted(stack, [1 / len(stack.sources)] * len(stack.sources))
    taus = _matrices(stack).astype(np.float64)
    grams = [tau.T @ tau / max(float((tau**2).sum()), 1e-30) for tau in taus]
    total = sum(grams, start=np.zeros_like(grams[0]))
    total += np.eye(len(total)) * (RIDGE * np.trace(total) / len(total) + 1e-30)
    wanted = sum((tau @ gram for tau, gram in zip(taus, grams, strict=True)), start=np.zeros_like(taus[0]))
    return _added(stack, np.linalg.solve(total, wanted.T).T)


def iso_cts(stack: Stack, values: Values) -> FinishBlock:
    """The sum's largest singular vectors and each task's own beside them, all of one length
    (https://arxiv.org/abs/2502.04959)."""
    if _apart(stack):
        return shifted(stack, [1 / len(stack.sources)] * len(stack.sources))
    taus = _matrices(stack)
    left, lengths, right = np.linalg.svd(taus.sum(axis=0), full_matrices=False)
    rank = len(lengths)
    own = int(rank * (1 - COMMON)) // len(taus)
    common = rank - own * len(taus)
    parts = [(left[:, :common], lengths[:common], right[:common])]
    for tau in taus:
        rest = tau - left[:, :common] @ (left[:, :common].T @ tau)
        u, s, v = np.linalg.svd(rest, full_matrices=False)
        parts.append((u[:, :own], s[:own], v[:own]))
    u, s, v = (np.concatenate(each, axis) for each, axis in zip(zip(*parts, strict=True), (1, 0, 0), strict=True))
    change = _nearest_orthogonal(u) @ _nearest_orthogonal(v) * s.mean()
    return _added(stack, change)


def _nearest_orthogonal(matrix: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    u, _, v = np.linalg.svd(matrix, full_matrices=False)
    return np.asarray(u @ v)


_SHARED: dict[str, Any] = {"base": "required", "taus": True, "whole": True}
DATA_FREE_REGMEAN = MergeMethod("data-free RegMean", "https://arxiv.org/abs/2503.08099", data_free_regmean, **_SHARED)
ISO_CTS = MergeMethod("Iso-CTS", "https://arxiv.org/abs/2502.04959", iso_cts, **_SHARED)


def merged(method: str, tunes: Mapping[str, dict[str, str]], folder: Path) -> float:
    """Write the method's merge of all fine-tunes, unless it is there; seconds that it took."""
    from merging.merge import merge
    from merging.recipe_file import parse

    base, noted = str(locate(BASE)), folder / "seconds"
    if noted.exists():
        return float(noted.read_text())
    models = [{"model": {"model": {"path": base}, "lora": {"path": tune["adapter"]}}} for tune in tunes.values()]
    raw: dict[str, Any] = {"merge_method": method, "models": models, "dtype": "bfloat16", "parameters": METHODS[method]}
    began = time.monotonic()
    merge(parse(raw if method in WITHOUT_BASE else {**raw, "base_model": base}), folder)
    noted.write_text(f"{time.monotonic() - began:.1f}")
    return time.monotonic() - began


def short(method: str) -> str:
    """The name for the table."""
    return {"DATA_FREE_REGMEAN": DATA_FREE_REGMEAN.name, "ISO_CTS": ISO_CTS.name}.get(method.split(":")[-1], method)


def scaled(folder: Path, scale: float) -> dict[str, Any]:
    """An expert: the base and `scale` times what the merge in `folder` adds to it."""
    source = {"model": str(folder), "weight": scale}
    return {"recipe": {"method": "task_arithmetic", "base": BASE, "sources": [source]}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=180)
    parser.add_argument("--select-questions", type=int, default=60)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--scales", default=",".join(map(str, SCALES)))
    parser.add_argument("--merge-only", action="store_true", help="write the merges and stop")
    parser.add_argument("--folder", type=Path, help="for adapters and merges; default: a fresh one")
    parser.add_argument("--state", help="state folder; default: a fresh one")
    given = parser.parse_args()
    noted = conditions()
    with contextlib.ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        state = given.state or stack.enter_context(tempfile.TemporaryDirectory())
        tunes = zoo(folder)
        tunes.pop("base")
        methods = given.methods.split(",")
        seconds = {method: merged(method, tunes, folder / f"merged-{short(method)}") for method in methods}
        print(seconds, flush=True)
        if given.merge_only:
            return
        merges = {
            f"m{number}-{scale:g}".replace(".", "_"): (method, scale)
            for number, method in enumerate(methods)
            for scale in map(float, given.scales.split(","))
        }
        experts = {
            "base": {"model": BASE},
            **tunes,
            **{name: scaled(folder / f"merged-{short(method)}", scale) for name, (method, scale) in merges.items()},
        }
        settings = {"experts": experts, "state": state, "workers": {"in_process": True}}
        collegium = stack.enter_context(Collegium(settings))
        scales = {scale for _, scale in merges.values()}
        selected = [*tunes, *(merges if len(scales) > 1 else ())]
        chosen = _right(collegium, "validation", given.select_questions, selected)
        best = {
            method: max((n for n in merges if merges[n][0] == method), key=lambda n: sum(chosen.get(n, ())))
            for method in methods
        }
        single = max(tunes, key=lambda name: chosen[name].sum())
        asked = ["base", single, *best.values()]
        found = _right(collegium, "test", given.questions, asked)
    rows = []
    for name, what in (("base", "the base"), (single, f"{single}, the best fine-tune on the validation split")):
        rows.append((what, f"{formatted(_share(found[name]))} %", ""))
    against = {"the best fine-tune": found[single], "linear": found[best.get("linear", single)]}
    lines = ["| method | scale | right, % | minus the best fine-tune | minus linear | seconds of the merge |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for method, name in sorted(best.items(), key=lambda item: -found[item[1]].sum()):
        less = [formatted(paired_difference(found[name].tolist(), other.tolist())) for other in against.values()]
        share = formatted(_share(found[name]))
        lines.append(
            f"| {short(method)} | {merges[name][1]:g} | {share} | {' | '.join(less)} | {seconds[method]:.0f} |"
        )
    raw = {
        "conditions": noted,
        "seconds": seconds,
        "validation": {name: right.tolist() for name, right in chosen.items()},
        "test": {name: found[name].tolist() for name in asked},
        "merges": merges,
    }
    note = "95% intervals: Wilson's, and a paired bootstrap for differences (points). The scale was chosen on "
    note += f"{given.select_questions} validation questions among {given.scales}, and so was the best fine-tune; "
    note += f"{given.questions} questions of the test split are reported.\n\n"
    title = "Merge methods on eight fine-tunes of one base on overlapping data"
    write_result("merge_methods", title, rows, raw, note + "\n".join(lines))


def _right(collegium: Collegium, split: str, count: int, experts: Sequence[str]) -> dict[str, np.ndarray[Any, Any]]:
    """Expert -> 0 or 1 for each question of the split."""
    asked = {"task": ",".join(TASKS), "split": split, "questions": count, "experts": list(experts)}
    table = asyncio.run(collegium.aprofile(**asked)).table
    return {name: np.array([row.correct[name] for row in table.rows]) for name in experts}


def _share(right: np.ndarray[Any, Any]) -> Any:
    return wilson(int(right.sum()), len(right))


if __name__ == "__main__":
    main()
