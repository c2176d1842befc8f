"""Each project's files in the layout that it publishes: read as they say, and the same after export and import."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from orchestrator.cli.table import command
from router import Table, TableError
from router.importers import import_table

REPLIES = {"a": ("B", 1.0, 0.5), "b": ("C", 0.0, 0.25)}


def lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def arena_result(model: str, index: str, reply: str, value: float, cost: float, **more: Any) -> dict[str, Any]:
    """A line of RouterArena's cached_results/MODEL.jsonl."""
    return {
        "global_index": index,
        "question": "Which?",
        "llm_selected": model,
        "generated_answer": reply,
        "token_usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        "success": True,
        "error": None,
        "evaluation_result": {"ground_truth": "B", "score": value, "metric": "mcq_accuracy", "inference_cost": cost},
        **more,
    }


ARENA = [arena_result(model, "ArcMMLU_659", *values) for model, values in REPLIES.items()]
PREDICTIONS = [
    {"global index": "ArcMMLU_659", "prompt": "Which?", "prediction": model, "accuracy": value, "cost": cost}
    | {"generated_result": {"generated_answer": reply, "success": True}, "for_optimality": model == "b"}
    for model, (reply, value, cost) in REPLIES.items()
]
ROUTERBENCH = {"sample_id": "mmlu.1", "prompt": "['Which?']", "eval_name": "mmlu", "oracle_model_to_route_to": "a"} | {
    f"{model}{suffix}": cell
    for model, (reply, value, cost) in REPLIES.items()
    for suffix, cell in (("", value), ("|model_response", reply), ("|total_cost", cost))
}
LLMROUTER = [
    {"task_name": "mmlu", "query": "Which?", "gt": "B", "metric": "em_mc", "choices": None, "task_id": None}
    | {"model_name": model, "response": reply, "token_num": 9, "input_tokens": 5, "output_tokens": 4}
    | {"response_time": 0.5, "performance": value, "embedding_id": 0, "user_id": None, "fig_id": ""}
    for model, (reply, value, _) in REPLIES.items()
]
EMBEDLLM = "prompt_id,model_id,category_id,label,prompt,model_name,category\n" + "".join(
    f"983,{place},18,{value:.0f},Which?,{model},mmlu\n" for place, (model, (_, value, _)) in enumerate(REPLIES.items())
)
BENCH = [
    {"performance": value, "time_taken": 1.0, "prompt_tokens": 5, "completion_tokens": 4, "cost": cost, "counts": 1}
    | {"model_name": model, "dataset_name": "mmlu", "split": "test", "demo": False}
    | {
        "records": [
            {"index": 1, "origin_query": "Which?", "prompt": "Which?", "prediction": reply, "ground_truth": "B"}
            | {"score": value, "prompt_tokens": 5, "completion_tokens": 4, "cost": cost, "raw_output": ["x"]}
        ]
    }
    for model, (reply, value, cost) in REPLIES.items()
]
MATRIX = {
    "model": ["a", "b"],
    "prompt": {"train_prompt": ["One?"], "val_prompt": [], "test_prompt": ["Which?"]},
    "data": {"train_score": [[0.5, 1.0]], "val_score": [], "test_score": [[1.0, 0.0]], "test_embed": [[0.1]]},
}
PAIR = {
    "id": 30192,
    "model_a": "a",
    "model_b": "b",
    "prompt": json.dumps(["Which?"]),
    "response_a": json.dumps(["B"]),
} | {
    "winner_model_a": 1,
    "winner_model_b": 0,
    "winner_tie": 0,
}
FILES: dict[str, tuple[str, str, str, bool, bool]] = {
    # name of the file: (text, format, task, costs, replies)
    "arena.jsonl": (lines(ARENA), "arena", "ArcMMLU", True, True),
    "predictions.json": (json.dumps(PREDICTIONS, indent=2), "arena", "ArcMMLU", True, True),
    "routerbench.jsonl": (lines([ROUTERBENCH]), "wide", "mmlu", True, True),
    "llmrouter.jsonl": (lines(LLMROUTER), "long", "mmlu", False, True),
    "embedllm.csv": (EMBEDLLM, "long", "", False, False),
    "bench.jsonl": (lines(BENCH), "nested", "mmlu", True, True),
    "routereval.json": (json.dumps(MATRIX), "matrix", "", False, False),
    "arena55k.jsonl": (lines([PAIR]), "pairs", "", False, False),
    "long.jsonl": (
        lines([{"prompt": "Which?", "model": m, "score": v, "cost": c} for m, (_, v, c) in REPLIES.items()]),
        "long",
        "",
        True,
        False,
    ),
}


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_published_layout_is_read_and_stays_the_same_through_export(tmp_path: Path, name: str, suffix: str) -> None:
    text, format, task, costs, replies = FILES[name]
    (tmp_path / name).write_text(text)
    found = import_table(tmp_path / name)
    row = next(row for row in found.table.rows if row.question == "Which?")
    assert (found.format, row.correct, row.task or "") == (format, {"a": 1.0, "b": 0.0}, task)
    assert row.extra.get("cost") == ({"a": 0.5, "b": 0.25} if costs else None)
    assert row.predictions == ({"a": "B", "b": "C"} if replies else {})
    out = tmp_path / f"out{suffix}"
    found.table.write(tmp_path / "table.jsonl")
    done = CliRunner().invoke(command, ["export", str(tmp_path / "table.jsonl"), str(out)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    again = import_table(out, "long").table
    for one, other in zip(again.rows, found.table.rows, strict=True):
        assert (one.id, one.question, one.correct, one.task, one.split) == (
            (other.id, other.question, other.correct, other.task, other.split)
        )
        assert (one.predictions, one.answer, one.extra.get("cost")) == (
            (other.predictions, other.answer, other.extra.get("cost"))
        )


def test_options_and_kinds_go_along(tmp_path: Path) -> None:
    body = {"id": "q", "question": "Which?", "choices": {"A": "x", "B": "y"}, "correct": {"a": 1}, "answer": "B"}
    (tmp_path / "table.jsonl").write_text(lines([body]))
    for suffix in (".csv", ".parquet", ".jsonl"):
        out = tmp_path / f"out{suffix}"
        CliRunner().invoke(command, ["export", str(tmp_path / "table.jsonl"), str(out)], catch_exceptions=False)
        assert import_table(out).table.rows == Table.read(tmp_path / "table.jsonl").rows


def test_a_call_that_failed_leaves_no_score(tmp_path: Path) -> None:
    failed = arena_result("c", "ArcMMLU_659", "", 0.0, 0.0, success=False, evaluation_result=None)
    unscored = arena_result("d", "ArcMMLU_659", "B", 0.0, 0.0, evaluation_result=None)
    (tmp_path / "arena.jsonl").write_text(lines([*ARENA, failed, unscored]))
    (row,) = import_table(tmp_path / "arena.jsonl").table.rows
    assert row.correct == {"a": 1.0, "b": 0.0}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({**MATRIX, "data": {"test_score": []}}, "train_score: must have one row of scores per prompt"),
        (
            {**MATRIX, "data": {"train_score": [[1.0]], "test_score": [[1, 0]]}},
            r"train_score\[0\]: must have one score",
        ),
        ({**MATRIX, "data": {"train_score": [[1, 7]], "test_score": [[1, 0]]}}, r"train_score\[0\]: must be a score"),
    ],
)
def test_matrices_whose_parts_do_not_fit_are_named(tmp_path: Path, body: dict[str, Any], message: str) -> None:
    (tmp_path / "m.json").write_text(json.dumps(body))
    with pytest.raises(TableError, match=message):
        import_table(tmp_path / "m.json")
