"""Shells complete commands without importing any, and a command's options."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from orchestrator.cli import group

PROGRAM = """
import sys
from orchestrator.cli import main
sys.argv = ["collegium"]
try:
    main()
finally:
    print(*[name for name in ("torch", "ray", "orchestrator.cli.runs") if name in sys.modules], file=sys.stderr)
"""


def completed(words: str) -> tuple[list[str], str]:
    environment = {**os.environ, "_COLLEGIUM_COMPLETE": "bash_complete", "COMP_WORDS": words}
    environment["COMP_CWORD"] = str(words.count(" "))
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, env=environment)
    return [line.partition(",")[2] for line in done.stdout.splitlines()], done.stderr


def test_commands_are_completed_without_importing_them() -> None:
    found, imported = completed("collegium d")
    assert found == ["doctor", "demo", "distill"]
    assert imported.split() == []


def test_options_and_their_choices_are_completed() -> None:
    assert "--methods" in completed("collegium run --me")[0]
    assert "full" in completed("collegium teach --method f")[0]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_lines_for_a_shell(shell: str) -> None:
    done = CliRunner().invoke(group, ["completion", shell])
    assert done.exit_code == 0, done.output
    assert f"_COLLEGIUM_COMPLETE={shell}_complete" in done.output
