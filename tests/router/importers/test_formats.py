"""Other tools' result files, each read for its scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from router.importers import import_table


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


ONE = {"a": 1.0, "b": 0.25}


@pytest.mark.parametrize(
    ("format", "rows", "cost"),
    [
        (
            "wide",
            [
                {"sample_id": "s", "prompt": "['Q?']", "eval_name": "mmlu", "a": 1.0, "b": 0.25}
                | {"a|model_response": "A", "a|total_cost": 0.5, "b|total_cost": 2, "oracle_model_to_route_to": "a"}
            ],
            {"a": 0.5, "b": 2.0},
        ),
        ("wide", [{"prompt": "Q?", "eval_name": "mmlu", "a": "1", "b": 0.25}], None),
        (
            "long",
            [
                {"prompt": "Q?", "model": "a", "score": 1.0, "cost": 0.5},
                {"prompt": "Q?", "model": "b", "score": 0.25, "cost": 2},
            ],
            {"a": 0.5, "b": 2.0},
        ),
        # LLMRouter, EmbedLLM, RouterArena name their columns so.
        (
            "long",
            [{"query": "Q?", "model_name": n, "performance": v, "task_name": "mmlu"} for n, v in ONE.items()],
            None,
        ),
        ("long", [{"prompt_id": 3, "prompt": "Q?", "model_name": n, "label": v} for n, v in ONE.items()], None),
        (
            "nested",
            [
                {"model_name": n, "dataset_name": "mmlu", "records": [{"index": 1, "prompt": "Q?", "score": v}]}
                for n, v in ONE.items()
            ],
            None,
        ),
        ("mapped", [{"prompt": "Q?", "scores": ONE}], None),
        (
            "mapped",
            [{"question": "Q?", "models": {n: {"score": v, "cost": 1} for n, v in ONE.items()}}],
            {"a": 1, "b": 1},
        ),
    ],
)
def test_each_format_gives_its_scores(
    tmp_path: Path, format: str, rows: list[dict[str, Any]], cost: dict[str, float] | None
) -> None:
    found = import_table(lines(tmp_path / "t.jsonl", *rows))
    (row,) = found.table.rows
    assert (found.format, row.question, row.correct, row.extra.get("cost")) == (format, "Q?", ONE, cost)
    assert row.task in ("mmlu", None)
