import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import BadInput
from orchestrator.evaluation.tasks import hub, json_lines, load, names
from orchestrator.evaluation.tasks.registry import GENERATED

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
    assert len(load(str(path), "test", 500)) == 50


def test_train_lends_a_tenth_as_validation_and_withholds_it(tmp_path: Path) -> None:
    rows = ({**ROW, "id": str(i), "question": f"Which {i}?", "split": "train"} for i in range(300))
    path = str(written(tmp_path / "a.jsonl", *rows))
    validation, train = load(path, "validation", None), load(path, "train", None)
    assert 10 < len(validation) < 60
    assert len(validation) + len(train) == 300
    assert all(question.split == "validation" for question in validation)
    with pytest.raises(BadInput, match="no split 'test'; it has train"):
        load(path, "test", None)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"a.jsonl:2: not JSON"),
        ("[1]", r"a.jsonl:2: line:"),
        ({"id": "x", "answer": "B"}, r"a.jsonl:2: question: Field required"),
        ({**ROW, "id": "x", "kind": "essay"}, r"a.jsonl:2: kind:"),
        ({**ROW, "id": "x", "answer": "C"}, r"a.jsonl:2: answer: 'C' is no answer of kind choice"),
        (ROW, r"a.jsonl:2: id 'q1' occurs twice"),
        ("[" * 100_000, r"a.jsonl:2: not JSON"),
        ('{"question": "' + "x" * json_lines.LINE_LIMIT + '"}', r"a.jsonl:2: a line of more than 4 MiB"),
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
        ("hf:gsm8k", "test", 1, "say which of its columns"),
    ],
)
def test_bad_requests(name: str, split: str, n: int | None, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load(name, split, n)


def test_hub_rows_become_questions_by_the_mapping() -> None:
    gsm8k = hub.ColumnNames(question="question", answer="answer", kind="number", answer_after="####")
    (question,) = hub.questions([{"question": "Six threes?", "answer": "6*3\n#### 1,018"}], "gsm8k", "test", gsm8k)
    assert (question.id, question.answer, question.kind) == ("gsm8k-test-0", "1,018", "number")
    arc = hub.ColumnNames(question="q", answer="key", choices="choices.text", letters="choices.label", id="id")
    row = {"q": "Which?", "key": "B", "id": 7, "choices": {"text": ["red", "blue"], "label": ["A", "B"]}}
    (question,) = hub.questions([row], "arc", "test", arc)
    assert (question.id, question.choices, question.answer) == ("7", {"A": "red", "B": "blue"}, "B")
    by_number = hub.ColumnNames(question="q", answer="key", choices="options")
    (question,) = hub.questions([{"q": "Which?", "key": 1, "options": ["red", "blue"]}], "x", "test", by_number)
    assert question.answer == "B"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"key": 1, "options": ["a", "b"]}, "row 0: no column 'q'; it has key, options"),
        ({"q": "?", "key": 5, "options": ["a", "b"]}, "row 0: column 'key': '5' is no answer of kind choice"),
        ({"q": "?", "key": 0, "options": "ab"}, "not a list of 2 to 26 options"),
        ({"q": "", "key": 0, "options": ["a", "b"]}, "row 0: question:"),
    ],
)
def test_hub_rows_that_do_not_fit_the_mapping(row: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        hub.questions([row], "x", "test", hub.ColumnNames(question="q", answer="key", choices="options"))


def test_a_dataset_is_loaded_by_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_list([{"q": f"{i} + 1?", "a": str(i + 1)} for i in range(4)])
    asked = []

    def load_dataset(name: str, subset: str | None, split: str) -> Any:
        asked.append((name, subset, split))
        return rows

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    columns = hub.ColumnNames(question="q", answer="a", kind="number", subset="main")
    assert [question.answer for question in load("hf:some/set", "test", None, columns=columns)] == ["1", "2", "3", "4"]
    assert asked == [("some/set", "main", "test")]

    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(BadInput, match="'some/set', split 'test': cannot be loaded: no network"):
        load("hf:some/set", "test", None, columns=columns)
