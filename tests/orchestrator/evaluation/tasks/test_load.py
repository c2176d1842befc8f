import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import BadInput
from orchestrator.evaluation.tasks import load, names
from orchestrator.evaluation.tasks.registry import GENERATED, WORDED
from router.records.files import MAX_RECORD

ROW: dict[str, Any] = {
    "id": "q1",
    "question": "Which?",
    "choices": {"A": "red", "B": "blue"},
    "answer": "B",
    "split": "test",
}


def written(path: Path, *rows: Any) -> Path:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return path


def test_mixed_has_equal_shares_of_all_tasks() -> None:
    questions = load("mixed", "test", 3 * len(GENERATED), seed=2)
    assert [question.task for question in questions] == 3 * [task.name for task in GENERATED]
    assert load("mixed", "test", 5, seed=2) == questions[:5]
    assert "mixed" in names()


def test_mixed2_has_equal_shares_of_the_worded_tasks() -> None:
    questions = load("mixed2", "test", 2 * len(WORDED), seed=2)
    assert [question.task for question in questions] == 2 * [task.name for task in WORDED]
    assert {"mixed2", "shopping"} <= set(names())
    with pytest.raises(BadInput, match="mixed2"):
        load("mixed3", "test", 2)


def test_several_tasks_with_commas() -> None:
    assert [question.task for question in load("dates, coin_flip", "train", 4)] == 2 * ["dates", "coin_flip"]


@pytest.mark.parametrize("name", ["set.jsonl", "set.jsonl.gz"])
def test_a_json_lines_file(tmp_path: Path, name: str) -> None:
    number = {
        "question": "6 * 3?",
        "answer": 18.0,
        "kind": "number",
        "skill": "arithmetic",
        "split": "test",
        "more": [1],
    }
    path = written(tmp_path / name, ROW, "", number)
    first, second = load(str(path), "test", None)
    assert (first.kind, first.answer, first.task) == ("choice", "B", "set")
    assert (second.id, second.answer, second.skills) == ("set-3", "18", ("arithmetic",))


def test_a_sample_is_decided_by_its_seed_and_a_small_file_gives_all(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", *({**ROW, "id": str(i), "question": f"Which {i}?"} for i in range(50)))
    some = load(str(path), "test", 10, seed=1)
    assert some == load(str(path), "test", 10, seed=1)
    assert some != load(str(path), "test", 10, seed=2)
    # A fifth of a source that has `test` alone is lent to `validation`.
    assert (len(load(str(path), "test", 500)), len(load(str(path), "validation", 500))) == (40, 10)


def test_train_lends_a_tenth_as_validation_and_withholds_it(tmp_path: Path) -> None:
    rows = ({**ROW, "id": str(i), "question": f"Which {i}?", "split": "train"} for i in range(300))
    path = str(written(tmp_path / "a.jsonl", *rows))
    validation, train = load(path, "validation", None), load(path, "train", None)
    assert 10 < len(validation) < 60
    assert len(validation) + len(train) + len(load(path, "test", None)) == 300
    assert all(question.split == "validation" for question in validation)
    with pytest.raises(BadInput, match="no split 'dev'; it has test, train, validation"):
        load(path, "dev", None)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"a.jsonl:2: not valid JSON"),
        ("[1]", r"a.jsonl:2: must be an object, is a list"),
        ({"id": "x", "answer": "B"}, r"a.jsonl:2: .*choices|a.jsonl:2: question: the question is empty"),
        ({**ROW, "id": "x", "kind": "essay"}, r"a.jsonl:2: kind:"),
        ({**ROW, "id": "x", "answer": "C"}, r"a.jsonl:2: answer: 'C' is no option; they are A, B"),
        (ROW, r"a.jsonl:2: id: 'q1' occurs twice"),
        ("[" * 100_000, r"a.jsonl:2: not valid JSON"),
        ('{"question": "' + "x" * MAX_RECORD + '"}', r"a.jsonl:2: a line of more than 16 MiB"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load(str(written(tmp_path / "a.jsonl", ROW, line)), "test", 1)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No such file"):
        load(str(tmp_path / "gone.jsonl"), "test", 1)
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(json.dumps(ROW).encode())[:-6])
    with pytest.raises(BadInput, match=r"cut.jsonl.gz: cannot be read"):
        load(str(tmp_path / "cut.jsonl.gz"), "test", 1)
    with pytest.raises(BadInput, match="no questions"):
        load(str(written(tmp_path / "empty.jsonl")), "test", 1)


@pytest.mark.parametrize(
    ("name", "split", "n", "message"),
    [
        ("datez", "test", 1, "no task or file 'datez'; known tasks: arithmetic"),
        ("dates", "dev", 1, "'dates' has no split 'dev'; it has train, validation, test"),
        ("dates", "test", None, "say how many"),
        ("dates", "test", 0, "ask for 1 or more"),
        (" , ", "test", 1, "no task named"),
    ],
)
def test_bad_requests(name: str, split: str, n: int | None, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load(name, split, n)


def test_code_that_nothing_runs_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text('{"id": "a", "question": "Add.", "answer": "def f(): ...", "kind": "code", "split": "test"}\n')
    with pytest.raises(BadInput, match="question 'a': kind code: only running"):
        load(str(file), "test", 1)
