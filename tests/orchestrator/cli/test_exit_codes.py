"""Commands over experts whose servers fail, as a shell sees them: one line on standard error, an exit code, no figures
that were never measured."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from orchestrator import cli
from tests.scripts.misbehaving import Misbehaving, misbehaving

COMMANDS = {
    "profile": ["profile", "--task", "coin_flip", "--questions", "4"],
    "run": ["run", "--task", "coin_flip", "--questions", "4", "--methods", "single,vote"],
    "compare": ["run", "--compare", "--task", "coin_flip", "--questions", "8", "--methods", "reconcile"],
    "generate": ["generate", "--task", "coin_flip", "--questions", "4"],
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Misbehaving]:
    with misbehaving() as server:
        yield server


class Shell:
    """Runs commands of the console script in this process."""

    def __init__(self, folder: Path, upstream: Misbehaving, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._upstream, self._monkeypatch = folder, upstream, monkeypatch

    def zoo(self, *models: str) -> None:
        experts = {model: {"url": self._upstream.url, "model": model, "tries": 1, "timeout": 1} for model in models}
        config = {"experts": experts, "state": str(self._folder / "state"), "runs": str(self._folder / "runs")}
        workers = {"engine": "scripted", "in_process": True}
        (self._folder / "collegium.yaml").write_text(yaml.safe_dump({**config, "workers": workers}))

    def run(self, *arguments: str) -> int | str | None:
        self._monkeypatch.setattr(sys, "argv", ["collegium", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        return left.value.code


@pytest.fixture
def shell(tmp_path: Path, upstream: Misbehaving, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, upstream, monkeypatch)


@pytest.mark.parametrize("command", COMMANDS)
def test_where_nobody_replies_a_command_fails_on_one_line(
    command: str, shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.zoo("broken", "bad-key")
    assert shell.run(*COMMANDS[command]) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("collegium: ")
    assert "broken" in last
    assert "HTTP 500" in last
    assert not list((tmp_path / "runs").rglob("table.jsonl"))


def test_where_some_reply_the_others_are_named_and_the_command_succeeds(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.zoo("broken", "fine")
    assert shell.run(*COMMANDS["profile"]) == 0
    output = capsys.readouterr()
    assert "broken" in output.out + output.err
    table = next((tmp_path / "runs").rglob("table.jsonl"))
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    assert all("broken" not in row.get("correct", {}) for row in rows)  # a failure is no wrong answer
    assert shell.run(*COMMANDS["run"]) == 0


def test_a_budget_that_is_too_small_ends_a_run_with_what_was_spent(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.zoo("fine")
    arguments = [*COMMANDS["profile"], "--max-tokens", "30", "--set", "budget.tokens=60"]
    assert shell.run(*arguments) == 1
    assert "budget.tokens: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--task", "coin_flip", "--methods", "nonsense"], "nonsense"),
        (["profile", "--task", "no-such-task"], "no-such-task"),
        (["eval-router", "no-such-table.jsonl"], "no-such-table.jsonl"),
        (["profile", "--config", "no-such-file.yaml"], "no-such-file.yaml"),
        (["experts", "check", "nobody"], "nobody"),
        (["keys", "revoke", "nobody"], "nobody"),
    ],
)
def test_what_the_user_mistook_is_exit_code_2(
    arguments: list[str], message: str, shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.zoo("fine")
    assert shell.run(*arguments) == 2
    assert message in capsys.readouterr().err


def test_an_expert_that_fails_its_check_fails_the_command(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.zoo("fine", "bad-key")
    assert shell.run("experts", "check") == 2
    assert "1 of 2 experts failed the check" in capsys.readouterr().err
    assert shell.run("experts", "check", "fine") == 0


def test_sigterm_ends_a_command_on_one_line(
    shell: Shell, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import os
    import signal

    shell.zoo("fine")
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("orchestrator.cli.group.main", lambda **_: os.kill(os.getpid(), signal.SIGTERM))
    assert shell.run("doctor") == 143
    assert capsys.readouterr().err.startswith("collegium: terminated; every finished reply is kept")
    assert signal.getsignal(signal.SIGTERM) is before
