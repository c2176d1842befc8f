"""Routers and votes on recorded answers of real models: MMLU-Pro, fitted on `val`, reported on `dev`.

    python -m benchmarks.eval_router [--table FILE] [--out benchmarks/results/eval_router]

writes OUT.json (everything) and OUT.md (tables). Nothing here is tuned on `dev`: settings are the package's
defaults, which `--select` derives from `val` alone (cross-validated, and printed only).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from agents.votes import AT_THEIR_WORD, fit_log_odds, log_odds
from benchmarks.machine import conditions
from orchestrator.evaluation.eval_router import aggregators, contestants
from orchestrator.evaluation.voting import recorded_answer
from router import Embedder, Features, Table
from router.ballots import Ballots, cast_votes
from router.candidates import RouterCandidate
from router.evaluate import Evaluation, RouterResult, evaluate
from router.routers import DEFAULT, SkillsRouter, maker
from router.trial import trial

TABLE = Path(__file__).parents[2] / "shared/data/routing/mmlu_pro_dev.jsonl.gz"
OPTIONS = 10.0
"""MMLU-Pro questions have up to ten choices."""
SMALL = (
    "Llama-2-7b-hf",
    "Meta-Llama-3-8B",
    "Meta-Llama-3_1-8B",
    "Meta-Llama-3_1-8B-Instruct",
    "Mistral-7B-v0.1",
    "Mistral-7B-v0.2-hf",
    "Mistral-7B-Instruct-v0.1",
    "Mistral-7B-Instruct-v0.2",
    "Mixtral-8x7B-v0.1",
    "Mixtral-8x7B-Instruct-v0.1",
    "Phi-3-mini-4k-instruct",
    "Qwen1.5-7B-Chat",
    "Yi-6B",
    "Yi-6b-Chat",
    "c4ai-command-r-v01",
    "gemma-7b",
    "mathstral-7B",
)
"""The 17 small models that the reference points speak of."""


AGGREGATORS = aggregators()


def judge(table: Table, features: Features, split: tuple[str, str], ks: Sequence[int], seeds: int) -> Evaluation:
    """One evaluation of everything; `split` (train, test), equal names mean cross-validation inside that split."""
    if split[0] == split[1]:
        inside = [index for index, row in enumerate(table.rows) if row.split == split[0]]
        what = trial(table.take(inside), features.take(inside))
    else:
        what = trial(table, features, train_split=split[0], test_split=split[1])
    return evaluate(what, contestants(bool(features.skills)), AGGREGATORS, default=DEFAULT, ks=ks, seeds=seeds)


def result_of(report: Evaluation, router: str, k: int, aggregator: str) -> RouterResult:
    """The one result of these."""
    return next(r for r in report.results if (r.router, r.k, r.aggregator) == (router, k, aggregator))


def references(table: Table, embedder: Embedder, report: Evaluation) -> list[str]:
    """The reference points of the 17 small models beside what this code finds for them."""
    tagged = embedder.features(table.questions, table.skills(["category"]))
    what = trial(table, tagged, train_split="val", test_split="dev")
    shrunk = RouterCandidate("category", lambda seed: partial(SkillsRouter.fit, shrinkage=10.0))
    category = evaluate(
        what, [shrunk], {"log-odds": AGGREGATORS["log-odds"]}, default="category", ks=(3, 5, 7), seeds=1
    )

    def value(router: str, k: int, aggregator: str = "majority") -> float:
        return result_of(report, router, k, aggregator).accuracy.value

    code, every = "symbolic-moe (code)", len(SMALL)
    rows = [
        ("best on validation", 0.425, report.best.value),
        ("best in hindsight", 0.453, report.hindsight.value),
        ("random 3", 0.402, value("random", 3)),
        ("Symbolic-MoE's code, k=3", 0.466, value(code, 3)),
        ("the same, distinct, k=1", 0.448, value(f"{code}, distinct", 1, "first")),
        ("the same, distinct, k=3", 0.489, value(f"{code}, distinct", 3)),
        ("the same, distinct, k=5", 0.509, value(f"{code}, distinct", 5)),
        *(
            (
                f"category accuracy, shrunk, log-odds, k={k}",
                known,
                result_of(category, "category", k, "log-odds").accuracy.value,
            )
            for k, known in ((3, 0.496), (5, 0.522), (7, 0.518))
        ),
        ("all 17, majority", 0.479, value("best", every)),
        ("all 17, log-odds", 0.497, value("best", every, "log-odds")),
        ("some expert is right", 0.859, report.oracle),
    ]
    lines = ["## Reference points, 17 small models", "", "| what | reference | here |", "|---|---|---|"]
    return [*lines, *(f"| {what} | {known:.3f} | {found:.3f} |" for what, known, found in rows), ""]


def votes_left_out(table: Table, features: Features, ks: Sequence[int]) -> list[str]:
    """How probable votes find the gold answers of questions of `val` that neither they nor the router were fitted on:
    mean log of the probability, by how strongly the fit is held to taking probabilities at their word."""
    inside = [index for index, row in enumerate(table.rows) if row.split == "val"]
    what = trial(table.take(inside), features.take(inside))
    held_out, _ = what.scores(maker(DEFAULT, 0), what.nested(0))
    pulls = (1.0, 4.0, 16.0, math.inf)
    lines = ["| asked | " + " | ".join(f"pull {pull:g}" for pull in pulls) + " |", "|---" * (1 + len(pulls)) + "|"]
    for k in ks:
        votes = list(zip(*cast_votes(Ballots(what.test, recorded_answer), held_out, k, "topk"), strict=True))
        found = [_likelihood(votes, pull) for pull in pulls]
        lines.append(f"| {k} | " + " | ".join(f"{value:.4f}" for value in found) + " |")
    return lines


def _likelihood(votes: Sequence[tuple[list[str | None], list[float], str | None]], pull: float) -> float:
    output = []
    for seed in range(4):
        part = np.random.default_rng(seed).permutation(len(votes)) % 5
        for number in range(5):
            fitted = [vote for vote, one in zip(votes, part, strict=True) if one != number]
            odds = fit_log_odds(*zip(*fitted, strict=True), OPTIONS, pull=pull) if pull < math.inf else AT_THEIR_WORD
            for replies, chances, gold in (votes[row] for row in np.flatnonzero(part == number)):
                verdict = log_odds(replies, chances, odds, options=OPTIONS)
                weights = {group.answer: group.weight for group in verdict.groups}
                others = [0.0] * int(OPTIONS - len(weights))
                if gold is not None:
                    output.append(weights.get(gold, 0.0) - float(np.logaddexp.reduce([*weights.values(), *others])))
    return float(np.mean(output))


def _points(value: float) -> str:
    return f"{100 * value:.1f}"


def markdown(title: str, report: Evaluation, ks: Sequence[int], aggregator: str) -> list[str]:
    """Tables of one evaluation, in points (percent)."""
    gap = report.oracle - report.best.value
    lines = [
        f"## {title}",
        "",
        f"{report.questions} questions ({report.tested_on}), fitted on {report.fitted_questions} "
        f"({report.fitted_on}), {len(report.experts)} experts, {report.seeds} seeds. "
        f"Best expert on the fitted questions: {report.best_expert}, {_points(report.best.value)} "
        f"[{_points(report.best.low)}, {_points(report.best.high)}]; best in hindsight "
        f"{_points(report.hindsight.value)}; some expert is right: {_points(report.oracle)} "
        f"(gap {_points(gap)}).",
        "",
        f"Accuracy with the aggregator `{aggregator}`; in brackets 95% bootstrap intervals; `default -` is the "
        f"default's paired lead over the router at the same k, with its p-value.",
        "",
        "| router | right before wrong | top 1 | "
        + " | ".join(f"k={k} | default - | any right" for k in ks)
        + " | experts asked at k=3 |",
        "|---|---|---|" + "---|---|---|" * len(ks) + "---|",
    ]
    for quality in report.qualities:
        first = result_of(report, quality.router, 1, "first")
        cells = [quality.router, f"{quality.ranking:.3f}", _points(first.accuracy.value)]
        for k in ks:
            result = result_of(report, quality.router, k, aggregator)
            lead = report.comparisons.get(f"{quality.router}/{k}/{aggregator}")
            cells += [
                f"{_points(result.accuracy.value)} [{_points(result.accuracy.low)}, {_points(result.accuracy.high)}]",
                "" if lead is None else f"{100 * lead.value:+.1f} (p={lead.p:.2g})",
                _points(result.any_right),
            ]
        cells.append(f"{result_of(report, quality.router, 3, aggregator).unique_experts:.2f}")
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", f"The default (`{DEFAULT}`) by aggregator:", ""]
    lines += [
        "| k | aggregator | accuracy | over the best expert | p | gap closed "
        "| lost: nobody right / not recruited / outvoted |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in report.results:
        if result.router == DEFAULT:
            over = result.over_best
            lines.append(
                f"| {result.k} | {result.aggregator} | {_points(result.accuracy.value)} | {100 * over.value:+.1f} "
                f"[{100 * over.low:+.1f}, {100 * over.high:+.1f}] | {over.p:.2g} | {_points(result.gap_closed)}% | "
                + " / ".join(_points(share) for share in result.lost.values())
                + " |"
            )
    quality = next(q for q in report.qualities if q.router == DEFAULT)
    lines += [
        "",
        f"Probabilities of the default: log-loss {quality.log_loss:.3f}, expected calibration error "
        f"{quality.calibration_error:.3f}.",
        "",
    ]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results/eval_router")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/collegium/embeddings")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--select", action="store_true", help="cross-validate inside `val` and print, no more")
    arguments = parser.parse_args()
    table = Table.read(arguments.table)
    embedder = Embedder(cache=arguments.cache)
    features = embedder.features(table.questions, table.skills(["category", "src"]))
    bare = Features(features.embeddings)
    zoos = {"17 small models": table.select_experts(SMALL), "all 28 models": table}
    ks = (3, 5, 7)
    if arguments.select:
        for name, zoo in zoos.items():
            report = judge(zoo, features, ("val", "val"), ks, 1)
            print("\n".join(markdown(f"{name}, cross-validated inside val", report, ks, "log-odds fitted")))
            print("\n".join(votes_left_out(zoo, features, (*ks, len(zoo.experts)))))
        return
    noted = conditions()
    reports: dict[str, Any] = {}
    lines = [
        "# Routers on recorded answers of real models",
        "",
        "MMLU-Pro, 28 models (`routing/mmlu_pro_dev.jsonl.gz`); skills are the question's category and source.",
        "",
        f"`{' '.join(['python -m benchmarks.eval_router', *sys.argv[1:]])}`; what it says: docs/routers.md; speed: "
        "routing.md.",
        "",
        *(f"- {key}: {value}" for key, value in noted.items() if key not in ("foreign load", "load average", "engine")),
        "",
    ]
    for name, zoo in zoos.items():
        everyone = (*ks, len(zoo.experts))
        for title, seen in ((name, features), (f"{name}, without skills", bare)):
            report = judge(zoo, seen, ("val", "dev"), everyone if seen is features else ks, arguments.seeds)
            reports[title] = asdict(report)
            lines += markdown(title, report, ks, "log-odds fitted")
            if title == "17 small models":
                lines += references(zoo, embedder, report)
            print("\n".join(lines[-40:]), flush=True)
    embedder.close()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_brief(reports), separators=(",", ":"))
    arguments.out.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    arguments.out.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _brief(value: Any) -> Any:
    """Five significant digits, and None for NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _brief(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_brief(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value


if __name__ == "__main__":
    main()
