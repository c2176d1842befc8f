"""`collegium experts`: listed, and added with comments kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from orchestrator.cli import group
from tests.scripts.misbehaving import COST, misbehaving


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


def test_a_known_provider_is_added_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("experts", "add", "gpt", "--provider", "openai", "--model", "gpt-4.1-mini").exit_code == 0
    entry = yaml.safe_load((tmp_path / "collegium.yaml").read_text())["experts"]["gpt"]
    assert entry == {"provider": "openai", "model": "gpt-4.1-mini"}
    wrong = call("experts", "add", "other", "--provider", "openia", "--model", "x")
    assert "did you mean 'openai'" in str(wrong.exception)


def test_remote_experts_are_checked_by_asking_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with misbehaving() as upstream:
        models = {"fine": {}, "bad-key": {}, "no-usage": {}, "unset": {"api_key_env": "NOT_SET_ANYWHERE"}}
        experts = {name: {"url": upstream.url, "model": name, "tries": 1, **more} for name, more in models.items()}
        (tmp_path / "collegium.yaml").write_text(yaml.safe_dump({"experts": experts, "state": str(tmp_path / "state")}))
        checked = call("experts", "check", "--json")
        rows = {row["expert"]: row for row in json.loads(checked.stdout)}
        assert "2 of 4 experts failed the check" in str(checked.exception)
        assert (rows["fine"]["problem"], rows["fine"]["cost"], rows["fine"]["way"]) == (None, COST, "remote")
        assert rows["no-usage"]["cost"] is None
        assert "HTTP 401: wrong key" in rows["bad-key"]["problem"]
        assert "NOT_SET_ANYWHERE is not set" in rows["unset"]["problem"]
        good = call("experts", "check", "fine", "no-usage")
        assert good.exit_code == 0
        assert "✓ fine: answered in" in good.output
        assert "cost $0.012500" in good.output
        assert "price not known" in good.output
