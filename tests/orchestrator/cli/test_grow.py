"""What `collegium experts grow` adds to which configuration (the command as a whole: pipelines/test_grow.py)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.cli import grow
from orchestrator.cli.pipeline import Finished
from orchestrator.config import read_yaml


def finished(experts: dict[str, Any], **options: Any) -> Finished[Any, Any]:
    return Finished(None, None, SimpleNamespace(experts=experts), Path(), options)  # type: ignore[arg-type]


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, str]]:
    monkeypatch.chdir(tmp_path)
    calls: list[tuple[str, str]] = []

    def add_entry(path: Path, name: str, entry: dict[str, Any]) -> None:
        calls.append((path.name, name))

    monkeypatch.setattr(grow, "add_entry", add_entry)
    return calls


def test_a_new_configuration_keeps_the_demo_zoo_that_was_used_until_now(added: list[tuple[str, str]]) -> None:
    grow.add(finished({"a": {"model": "m"}}))
    assert added == [("collegium.yaml", "a")]
    assert read_yaml(Path("collegium.yaml")) == {"zoo": "demo"}


def test_a_named_file_is_used_and_none_adds_nothing(added: list[tuple[str, str]]) -> None:
    assert grow.add(finished({"a": {"model": "m"}}, add="none")) == []
    assert grow.add(finished({}, add=None)) == []
    assert not Path("collegium.yaml").exists()
    assert "other.yaml" in grow.add(finished({"a": {"model": "m"}}, add="other.yaml"))[0]
    assert added == [("other.yaml", "a")]


def test_what_was_added_by_an_earlier_run_is_not_added_twice(added: list[tuple[str, str]]) -> None:
    Path("mine.yaml").write_text("experts: {a: {model: m}}\n")
    assert len(grow.add(finished({"a": {"model": "m"}}, add="mine.yaml"))) == 1
    assert added == []
