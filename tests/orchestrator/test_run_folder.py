"""A run's folder: one process at a time works in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from orchestrator.config import Config
from orchestrator.errors import BadInput
from orchestrator.run_folder import RunFolder, held, manifest

ELSEWHERE = """
import sys
from pydantic import BaseModel
from orchestrator.config import Config
from orchestrator.run_folder import RunFolder

class Request(BaseModel):
    seed: int = 1

folder = RunFolder.open(Config(runs=sys.argv[1]), "run", Request())
print(folder.path, flush=True)
input()
"""

HOLDS = """
import pathlib, sys
from orchestrator.run_folder import held
with held(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""


class Request(BaseModel):
    seed: int = 1


def test_two_processes_do_not_work_on_the_same_run(tmp_path: Path) -> None:
    config = Config(runs=str(tmp_path))
    command = [sys.executable, "-c", ELSEWHERE, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        path = Path(other.stdout.readline().strip())
        with pytest.raises(BadInput, match=f"process {other.pid} works on this very run"):
            RunFolder.open(config, "run", Request())
        RunFolder.open(config, "run", Request(seed=2)).finish()
        other.kill()
    ours = RunFolder.open(config, "run", Request())
    assert ours.path == path
    again = RunFolder.open(config, "run", Request(), fresh=True)
    assert [found.name for found in again.path.iterdir() if not found.name.startswith(".")] == ["config.json"]
    ours.finish()
    done = subprocess.run(command, input="\n", capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == path


def test_a_folder_is_held_by_one_process_for_a_while(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDS, str(tmp_path / "work")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BadInput, match=f"process {other.pid} works on this very run"), held(tmp_path / "work"):
            pass
        other.kill()
    for _ in range(2):
        with held(tmp_path / "work"):
            pass


def test_a_manifest_names_the_experts_whose_remote_code_was_allowed() -> None:
    prints = {"plain": "1", "zeta": "2", "alpha": "3"}
    assert manifest(prints, {}, ["zeta", "alpha"])["remote code allowed"] == "alpha, zeta"
    assert "remote code allowed" not in manifest(prints, {}, [])


def test_a_folder_is_discarded_only_while_nothing_came_of_it(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run-1")
    folder.path.mkdir()
    folder.write("config.json", "{}")
    folder.write("replies.parquet", "x")
    folder.discard()
    assert folder.path.exists()
    (folder.path / "replies.parquet").unlink()
    folder.discard()
    assert not folder.path.exists()
    folder.discard()
