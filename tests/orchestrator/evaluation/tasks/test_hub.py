"""Data sets of the hub, loaded by its library."""

from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import BadInput
from orchestrator.evaluation.tasks import Columns, load, source_of
from orchestrator.evaluation.tasks.hub import missing_shards


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


def downloaded(home: Path, shards: int = 1) -> None:
    """What `hf download --repo-type dataset some/set` leaves in the hub's cache."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    folder = home / "datasets--some--set"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("e53f048856ff4f594e959d75785d2c2d37b678ee")
    files = folder / "snapshots" / "e53f048856ff4f594e959d75785d2c2d37b678ee"
    (files / "main").mkdir(parents=True)
    for split in ("train", "test"):
        table = pyarrow.table({"question": [f"{split} 1 + 1?"], "answer": ["1+1=<<1+1=2>>2\n#### 2"]})
        parquet.write_table(table, files / "main" / f"{split}-00000-of-{shards:05d}.parquet")
    globs = "".join(f"  - split: {split}\n    path: main/{split}-*\n" for split in ("train", "test"))
    (files / "README.md").write_text(f"---\nconfigs:\n- config_name: main\n  data_files:\n{globs}---\n")


def offline(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    datasets = pytest.importorskip("datasets")
    load = datasets.load_dataset
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home))

    def load_dataset(name: str, subset: str | None) -> Any:
        if not Path(name).is_dir():
            raise ConnectionError(f"Couldn't reach {name!r} on the Hub")
        return load(name, subset, cache_dir=str(home / "arrow"))

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)


def test_without_a_network_the_hubs_cache_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    offline(monkeypatch, tmp_path)
    with pytest.raises(BadInput, match=r"Couldn't reach .*; fetch it .*: hf download --repo-type dataset some/set"):
        source_of("hf:some/set:main")
    downloaded(tmp_path)
    found = list(source_of("hf:some/set:main").questions())
    assert [(one.question, one.answer, one.split) for one in found] == [
        ("train 1 + 1?", "2", "train"),
        ("test 1 + 1?", "2", "test"),
    ]


def test_a_data_set_of_which_files_are_missing_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    offline(monkeypatch, tmp_path)
    downloaded(tmp_path, shards=2)
    with pytest.raises(BadInput, match=r"(train|test)-00001-of-00002.parquet is missing: download all files"):
        source_of("hf:some/set:main")
    assert missing_shards(["a-00000-of-00002.parquet", "a-00001-of-00002.parquet", "b.json"]) is None


def test_a_name_without_a_dataset_is_refused() -> None:
    with pytest.raises(BadInput, match="names no dataset"):
        source_of("hf:")
