"""Other tools' result files, each read for its scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from router.importers import import_table
from router.row import TableError


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


def test_replies_beside_scores_are_no_expert(tmp_path: Path) -> None:
    """RouteLLM's own files: scores as True and False, and beside each model the column of its replies."""
    file = tmp_path / "gsm8k_responses.csv"
    file.write_text("prompt,weak,strong,weak_response,strong_response\nQ?,False,True,0,1\n")
    found = import_table(file)
    (row,) = found.table.rows
    assert (found.format, row.correct) == ("wide", {"weak": 0.0, "strong": 1.0})
    assert row.predictions == {"weak": "0", "strong": "1"}


def test_an_expert_whose_first_cells_are_empty_is_one(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("prompt,note,a,b\nP?,,,1\nQ?,seen,0,0\nR?,,1,\n")
    assert [row.correct for row in import_table(file).table.rows] == [{"b": 1}, {"a": 0, "b": 0}, {"a": 1}]


def test_scores_without_a_model_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("prompt,score,cost,latency\nQ?,1,0.5,0.25\n")
    with pytest.raises(TableError, match="no format of routing tables"):
        import_table(file)


def test_the_results_of_one_model_in_a_file_of_their_own(tmp_path: Path) -> None:
    """LLMRouterBench: an object per file whose records hold neither model nor dataset."""
    for name, value in ONE.items():
        record = {"index": 1, "origin_query": "q", "prompt": "Q?", "prompt_tokens": 3, "score": value, "cost": 0.5}
        body = {"performance": value, "model_name": name, "dataset_name": "mmlu", "records": [record]}
        (tmp_path / f"{name}.json").write_text(json.dumps(body, indent=1))
    found = import_table(tmp_path)
    assert (found.format, found.table.rows[0].correct, found.table.rows[0].task) == ("nested", ONE, "mmlu")


@pytest.mark.parametrize("cell", ["N/A", "NA", "null", "-", "", None, float("nan"), "None"], ids=str)
def test_a_model_whose_first_cell_is_empty_is_kept(tmp_path: Path, cell: Any) -> None:
    rows = [{"prompt": "P?", "a": cell, "b": 1, "source": "web"}, {"prompt": "Q?", "a": 0.5, "b": 0, "source": "book"}]
    found = import_table(lines(tmp_path / "t.jsonl", *rows)).table
    assert [row.correct for row in found.rows] == [{"b": 1.0}, {"a": 0.5, "b": 0.0}]


def test_a_column_of_scores_that_begins_with_words_is_named_and_one_of_words_left_out(tmp_path: Path) -> None:
    rows = [{"prompt": f"Q{n}?", "a": 1, "b": 1, "gold": "x" if n % 2 == 0 else 1} for n in range(9)]
    rows[0]["a"] = "timed out"
    with pytest.raises(TableError, match=r"t.jsonl:1: a: is 'timed out', and later cells are scores"):
        import_table(lines(tmp_path / "t.jsonl", *rows))
    kept = [{**row, "a": "words"} for row in rows]
    (one, *_) = import_table(lines(tmp_path / "t.jsonl", *kept)).table.rows
    assert one.correct == {"b": 1.0}
