"""`collegium keys`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from orchestrator.cli import group
from orchestrator.errors import BadInput


def test_keys_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("collegium.yaml").write_text("experts: {a: {script: 'x:y'}}\nstate: state\n")

    def call(*words: str) -> Any:
        result = CliRunner().invoke(group, ["keys", *words, "--json"])
        if result.exception:
            raise result.exception
        return json.loads(result.stdout)

    made = call("create", "ann", "--scopes", "chat,jobs", "--requests-per-minute", "5")
    assert made["key"].startswith("clg_")
    (row,) = call("list")
    assert (row["name"], row["scopes"], row["requests_per_minute"]) == ("ann", ["chat", "jobs"], 5)
    assert "hash" not in row
    call("revoke", made["id"])
    assert call("list") == []
    with pytest.raises(BadInput, match="no scope 'root'"):
        call("create", "eve", "--scopes", "root")
    with pytest.raises(BadInput, match="no key"):
        call("revoke", "nothing")
