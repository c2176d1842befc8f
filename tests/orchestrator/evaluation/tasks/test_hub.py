"""Data sets of the hub, loaded by its library."""

from typing import Any

import pytest

from orchestrator.errors import BadInput
from orchestrator.evaluation.tasks import Columns, load, source_of


def test_a_dataset_is_loaded_by_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_list([{"q": f"{i} + 1?", "a": f"so\n#### {i + 1}"} for i in range(4)])
    asked = []

    def load_dataset(name: str, subset: str | None) -> Any:
        asked.append((name, subset))
        return datasets.DatasetDict({"train": rows, "test": rows.select(range(2))})

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    columns = Columns(question="q", answer="a")
    found = load("hf:some/set:main", "test", None, columns=columns)
    assert [(question.answer, question.kind, question.split) for question in found] == [
        ("1", "number", "test"),
        ("2", "number", "test"),
    ]
    assert load("hf:gsm8k", "test", None, columns=columns)[1].answer == "2"
    assert asked == [("some/set", "main"), ("openai/gsm8k", "main")]

    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(BadInput, match="'hf:some/set': cannot be loaded: no network"):
        source_of("hf:some/set")
