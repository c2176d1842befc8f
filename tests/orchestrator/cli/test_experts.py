"""`collegium experts`: listed, and added with comments kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from orchestrator.cli import group


def call(*arguments: str) -> Result:
    return CliRunner().invoke(group, list(arguments), catch_exceptions=True)


def test_experts_are_listed_and_added_with_comments_kept(zoo: Path) -> None:
    listed = json.loads(call("experts", "list", "--json").stdout)
    assert [row["expert"] for row in listed] == ["words", "coins"]
    zoo.write_text("# my zoo\n" + zoo.read_text())
    result = call("experts", "add", "far", "--url", "http://localhost:1/v1", "--model", "big")
    assert result.exit_code == 0, (result.output, result.exception)
    text = zoo.read_text()
    assert text.startswith("# my zoo")
    assert yaml.safe_load(text)["experts"]["far"] == {"url": "http://localhost:1/v1", "model": "big"}
    again = call("experts", "add", "far", "--url", "http://localhost:1/v1", "--model", "big")
    assert "there is one already" in str(again.exception)
    missing = call("experts", "add", "gone", "--model", "no/such/folder")
    assert "no such folder" in str(missing.exception)
    assert zoo.read_text() == text


def test_experts_are_added_to_a_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("experts", "add", "far", "--url", "http://localhost:1/v1", "--model", "big").exit_code == 0
    assert list(yaml.safe_load((tmp_path / "collegium.yaml").read_text())["experts"]) == ["far"]
