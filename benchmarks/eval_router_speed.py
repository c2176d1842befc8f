"""How long `eval-router` takes with all routers: 5,500 made-up questions, 9 experts, embeddings of 384 numbers.

    python -m benchmarks.eval_router_speed [--questions 5500] [--seeds 5] [--out benchmarks/results/eval_router_speed]

writes OUT.md (seconds per router) and OUT.json (every figure of the evaluation: two versions of the program can be
compared number by number). Embedding is not timed: its results are cached, and it happens once per table.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.machine import conditions
from orchestrator.evaluation.eval_router import aggregators, contestants
from orchestrator.evaluation.voting import recorded_answer
from router import Features, Row, Table
from router.evaluate import evaluate
from router.routers import DEFAULT
from router.trial import trial

DIMENSIONS, TOPICS, EXPERTS, LETTERS = 384, 40, 9, "ABCDEFGHIJ"


def made_up(questions: int, seed: int = 0) -> tuple[Table, Features]:
    """A table whose experts differ by topic, and questions' vectors that lie around their topic's."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((TOPICS, DIMENSIONS))
    skill = rng.normal(0.2, 0.6, EXPERTS) + rng.normal(0, 0.8, (TOPICS, EXPERTS))
    topic = rng.integers(0, TOPICS, questions)
    vectors = centres[topic] + 1.5 * rng.standard_normal((questions, DIMENSIONS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    hard = rng.normal(0, 1, questions)
    right = rng.random((questions, EXPERTS)) < 1 / (1 + np.exp(-(skill[topic] - hard[:, None])))
    trap = rng.integers(1, len(LETTERS), questions)
    wrong = np.where(rng.random((questions, EXPERTS)) < 0.4, trap[:, None], rng.integers(1, 10, (questions, EXPERTS)))
    names = [f"expert-{number}" for number in range(EXPERTS)]
    rows = [
        Row(
            id=str(number),
            question=f"Question {number} of topic {topic[number]}?",
            correct={name: float(right[number, e]) for e, name in enumerate(names)},
            answer="A",
            predictions={name: "A" if right[number, e] else LETTERS[wrong[number, e]] for e, name in enumerate(names)},
            skills=(f"topic {topic[number]}",),
            extra={"choices": {letter: f"option {letter}" for letter in LETTERS}},
        )
        for number in range(questions)
    ]
    tags = {f"topic {number}": (c / np.linalg.norm(c)).astype(np.float32) for number, c in enumerate(centres)}
    return Table.from_rows(rows), Features(vectors.astype(np.float32), tuple(row.skills for row in rows), tags)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=5_500)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--routers", nargs="*")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "eval_router_speed")
    options = parser.parse_args()
    table, features = made_up(options.questions)
    marks: list[tuple[str, float]] = []
    wanted = [c for c in contestants(True) if not options.routers or c.name in options.routers]
    begun = time.perf_counter()
    found = evaluate(
        trial(table, features),
        wanted,
        aggregators(),
        default=DEFAULT if any(c.name == DEFAULT for c in wanted) else wanted[0].name,
        ks=(3, 5),
        seeds=options.seeds,
        canonical=recorded_answer,
        report=lambda name: marks.append((name, time.perf_counter())),
    )
    end = time.perf_counter()
    marks.append(("", end))
    rows = [f"| {name} | {after - at:.1f} |" for (name, at), (_, after) in pairwise(marks)]
    title = f"{options.questions} questions, {EXPERTS} experts, {options.seeds} seeds, k = 1, 3, 5, four votes"
    lines = [
        "# How long eval-router takes",
        "",
        f"`python -m benchmarks.eval_router_speed` on {conditions()['machine']}.",
    ]
    lines += ["", f"{title}: **{end - begun:.0f} s**.", "", "| router | seconds |", "|---|---|", *rows]
    options.out.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    options.out.with_suffix(".json").write_text(json.dumps(asdict(found), default=float), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
