"""Each pipeline's result in its run folder: written there, and read back."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from orchestrator import Collegium
from orchestrator.cli import group
from orchestrator.pipelines.registry import PIPELINES


def test_a_run_from_a_program_leaves_the_folder_that_the_command_leaves(echo_zoo: Collegium) -> None:
    found = echo_zoo.profile(task="coin_flip", questions=2, out="table.jsonl")
    (folder,) = Path("runs").iterdir()
    assert (folder / "finished").exists()
    assert Path("table.jsonl").read_bytes() == (folder / "table.jsonl").read_bytes()
    flags = ["profile", "--task", "coin_flip", "--questions", "2", "--json"]
    told = CliRunner().invoke(group, flags)
    assert told.exit_code == 0, told.stderr
    assert json.loads(told.stdout)["table"] == str(folder / "table.jsonl")
    assert PIPELINES["profile"].stored.load(folder).table.rows == found.table.rows
