"""Every example runs, and every command that the README shows is one that exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click import Command, Context, Group

from orchestrator.cli import group

ROOT = Path(__file__).parent.parent


def test_the_panel_example_needs_five_loads_for_two_rounds_of_three_experts(tmp_path: Path) -> None:
    config = tmp_path / "collegium.yaml"
    names = ("arithmetic", "calendar", "tracker")
    experts = "".join(f"  {name}: {{script: 'orchestrator.inference.engines.scripted:echo'}}\n" for name in names)
    workers = "workers: {engine: scripted, in_process: true}"
    config.write_text(f"experts:\n{experts}{workers}\nstate: {tmp_path / 'state'}\n")
    command = [sys.executable, str(ROOT / "examples" / "panel.py"), str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    replies, loads = map(int, re.findall(r"(\d+) replies, (\d+) loads", done.stdout)[0])
    assert replies == 240
    assert loads <= 5


@pytest.mark.timeout(900)
def test_the_readmes_first_answer_is_given_by_real_models(tmp_path: Path) -> None:
    from orchestrator.experts.demo import models_folder

    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert "questions=16, fit_questions=16" in block
    block = block.replace("=16", "=4")  # a quarter: the suite runs on slow machines too
    environment = {**os.environ, "HOME": str(tmp_path), "COLLEGIUM_CACHE": str(models_folder().parent)}
    done = subprocess.run(
        [sys.executable, "-c", block], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "gravity" in done.stdout.lower()
    assert "mixture" in done.stdout
    assert (tmp_path / ".local/state/collegium/ledger.sqlite").exists()


def readme_commands() -> list[list[str]]:
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```(?:bash|sh|console)\n(.*?)```", text, re.DOTALL)
    lines = [line.partition("#")[0].strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return [line.split() for line in lines if line.startswith("collegium ")]


@pytest.mark.parametrize("words", readme_commands(), ids=" ".join)
def test_commands_of_the_readme_exist_with_their_flags(words: list[str]) -> None:
    found: Command = group
    for word in words[1:]:
        if not isinstance(found, Group) or word.startswith("-"):
            break
        inner = found.get_command(Context(found), word)
        assert inner is not None, f"no command {word!r}"
        found = inner
    assert not isinstance(found, Group) or found.invoke_without_command, "a group alone does nothing"
    flags = {flag for parameter in found.params for flag in parameter.opts}
    own = words[: words.index("--")] if "--" in words else words
    assert {word.partition("=")[0] for word in own if word.startswith("--")} <= flags | {"--help"}
