"""Routing tables of other projects: every format gives the scores it says, and what is no score is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from router import Table, TableError
from router.importers import FORMATS, import_table
from router.importers.table_import import export_rows


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def test_preference_pairs_are_wins_and_repeated_ones_a_mean(tmp_path: Path) -> None:
    pair = {"prompt": "Q?", "model_a": "a", "model_b": "b"}
    rows = [{**pair, "winner": winner} for winner in ("model_a", "tie", "model_b", "model_a")]
    (row,) = import_table(lines(tmp_path / "t.jsonl", *rows)).table.rows
    assert row.correct == {"a": 0.625, "b": 0.375}
    flags = {**pair, "winner_model_a": 0, "winner_model_b": 0, "winner_tie": 1}
    assert import_table(lines(tmp_path / "t.jsonl", flags)).table.rows[0].correct == {"a": 0.5, "b": 0.5}
    rated = {"prompt": "Q?", "mixtral_score": 4}
    assert import_table(lines(tmp_path / "t.jsonl", rated)).table.rows[0].correct["mixtral-8x7b-instruct"] == 0.75


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"prompt": "Q?", "model": "a", "score": 7}],
            "t.jsonl:1: score: must be a score from 0 to 1, is 7: divide by",
        ),
        ([{"prompt": "Q?", "model": "a", "score": "good"}], "t.jsonl:1: score: must be a number, is 'good'"),
        ([{"prompt": "Q?", "model": "a", "score": None}], "t.jsonl:1: score: the cell is empty"),
        (
            [{"prompt": "Q?", "model": "a", "score": 1}, {"prompt": "Q?", "model": "a", "score": 0}],
            "t.jsonl:2: 'a' has the scores 1 and 0 for one question",
        ),
        (
            [
                {"prompt": "Q?", "model": "a", "score": 1, "prompt_id": 1},
                {"prompt": "R?", "model": "a", "score": 1, "prompt_id": 1},
            ],
            "id '1': two different questions have it",
        ),
        ([{"prompt": "Q?", "model_a": "a", "model_b": "a", "winner": "tie"}], "'a' is compared with itself"),
        ([{"prompt": "Q?", "model_a": "a", "model_b": "b", "winner": "c"}], "winner: must be model_a, model_b or tie"),
        ([{"prompt": "", "model": "a", "score": 1}], "t.jsonl:1: prompt: must be text"),
        ([{"frage": "Q?", "wert": 1}], "no format of routing tables has the columns frage, wert"),
        ([{"id": "1", "question": "Q?", "correct": {"a": 1}}], "is a correctness table already"),
        ([], "holds no record"),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(TableError, match=message.replace("?", r"\?")):
        import_table(lines(tmp_path / "t.jsonl", *rows))


def test_an_exported_table_comes_back_the_same(tmp_path: Path) -> None:
    source = lines(
        tmp_path / "t.jsonl",
        {"id": "1", "question": "Q?", "task": "x", "split": "test", "answer": "A"}
        | {"correct": {"a": 1, "b": 0.5}, "predictions": {"a": "A", "b": "B"}, "cost": {"a": 1, "b": 2}},
        {"id": "2", "question": "R?", "correct": {"b": 0}},
    )
    table = Table.read(source)
    exported = lines(tmp_path / "long.jsonl", *export_rows(table.rows, table.experts))
    again = import_table(exported).table
    assert [(r.id, r.question, r.correct, r.predictions, r.task, r.split, r.answer) for r in again.rows] == [
        (r.id, r.question, r.correct, r.predictions, r.task, r.split, r.answer) for r in table.rows
    ]
    assert again.rows[0].extra["cost"] == table.rows[0].extra["cost"]
    assert len({one.name for one in FORMATS}) == len(FORMATS)
