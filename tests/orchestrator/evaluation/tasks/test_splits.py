"""Splits: found under their usual names, or made and said so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agents.question import Question
from orchestrator.errors import BadInput
from orchestrator.evaluation.tasks import load, parse_columns, source_of
from orchestrator.evaluation.tasks.task import split_of


def lines(path: Path, *rows: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


def read(name: str, columns: str = "") -> list[Question]:
    return list(source_of(name, parse_columns(columns)).questions())


def test_a_folder_names_its_splits_and_so_do_saved_datasets(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    lines(tmp_path / "data" / "train.jsonl", {"question": "a?", "answer": "1"}, {"question": "b?", "answer": "2"})
    lines(tmp_path / "data" / "test.jsonl", {"question": "c?", "answer": "3"})
    assert [q.question for q in load(str(tmp_path / "data"), "test", None)] == ["c?"]
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    label = datasets.ClassLabel(names=["negative", "positive"])
    features = datasets.Features({"question": datasets.Value("string"), "label": label})
    rows = datasets.Dataset.from_dict({"question": ["Good?"], "label": [1]}, features=features)
    datasets.DatasetDict({"test": rows}).save_to_disk(str(tmp_path / "saved"))
    (question,) = load(str(tmp_path / "saved"), "test", None)
    assert (question.answer, question.kind) == ("positive", "text")
    rows.to_parquet(str(tmp_path / "test.parquet"))
    assert read(str(tmp_path / "test.parquet"))[0].answer == "positive"


def test_splits_are_made_where_they_are_missing_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = lines(tmp_path / "a.jsonl", *({"question": f"{n}?", "answer": str(n)} for n in range(50)))
    validation, test = load(path, "validation", None), load(path, "test", None)
    assert (len(validation), len(test)) == (10, 40)
    assert "no splits: 10 of 50 questions" in caplog.text
    with pytest.raises(BadInput, match="has no split 'train'; it has test, validation; give the questions a column"):
        load(path, "train", None)
    path = lines(tmp_path / "b.jsonl", *({"question": f"{n}?", "answer": "1", "split": "train"} for n in range(300)))
    parts = [load(path, name, None) for name in ("train", "validation", "test")]
    assert sum(map(len, parts)) == 300
    assert all(split_of(q.question) == q.split for q in [*parts[1], *parts[2]])


def test_usual_names_of_splits(tmp_path: Path) -> None:
    rows = [{"question": f"{name}?", "answer": "1", "split": name} for name in ("dev", "test")]
    path = lines(tmp_path / "a.jsonl", *rows)
    assert [q.question for q in load(path, "validation", None)] == ["dev?"]
    assert [(q.question, q.split) for q in load(path, "dev", None)] == [("dev?", "dev")]
    path = lines(tmp_path / "a.jsonl", *rows, {"question": "val?", "answer": "1", "split": "val"})
    assert [q.question for q in load(path, "dev", None)] == ["dev?"]
    with pytest.raises(BadInput, match="no split 'validation'; it has dev, test, val"):
        load(path, "validation", None)
    path = lines(tmp_path / "a.jsonl", *rows, {"question": "none?", "answer": "1"})
    with pytest.raises(BadInput, match="1 questions name no split, and others do"):
        load(path, "test", None)
