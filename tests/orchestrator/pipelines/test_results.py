"""Each pipeline's result in its run folder: written there, and read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from orchestrator import Collegium
from orchestrator.cli import group
from orchestrator.pipelines.registry import PIPELINES


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    experts = {name: {"script": "orchestrator.inference.engines.scripted:echo"} for name in ("one", "two")}
    config = {"experts": experts, "workers": {"engine": "scripted", "in_process": True}, "state": "state"}
    Path("collegium.yaml").write_text(json.dumps(config))
    with Collegium(Path("collegium.yaml")) as made:
        yield made


def test_a_run_from_a_program_leaves_the_folder_that_the_command_leaves(zoo: Collegium) -> None:
    found = zoo.profile(task="coin_flip", questions=2, out="table.jsonl")
    (folder,) = Path("runs").iterdir()
    assert (folder / "finished").exists()
    assert Path("table.jsonl").read_bytes() == (folder / "table.jsonl").read_bytes()
    flags = ["profile", "--task", "coin_flip", "--questions", "2", "--json"]
    told = CliRunner().invoke(group, flags)
    assert told.exit_code == 0, told.stderr
    assert json.loads(told.stdout)["table"] == str(folder / "table.jsonl")
    assert PIPELINES["profile"].stored.load(folder).table.rows == found.table.rows
