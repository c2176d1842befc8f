"""Scripted experts that confer, and commands on a server that misbehaves."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from orchestrator import Collegium
from orchestrator.cli import group
from orchestrator.errors import CollegiumError
from tests.scripts.misbehaving import Misbehaving, misbehaving

CONFERRING = '''
"""Experts that know one thing each and follow whoever is surest."""
import re
from collections import Counter

ASKED = Counter()

def _reply(name, messages, seed, knows):
    text = messages[-1][1]
    ASKED[name, repr(messages), seed] += 1
    if "Somebody explained" in text:
        answer = "yes" if "coin" in text else "a"
        return f"I see.\\nAnswer: {answer}\\nConfidence: 0.9"
    right = "yes" if "coin" in text else "a"
    groups = re.findall(r'- "(.*?)" \\(\\d+ agents?\\)((?:\\n  .*)*)', text)
    if groups:
        best = max(groups, key=lambda group: max(re.findall(r"confidence (\\S+):", group[1]), default="0"))[0]
        return f"I follow.\\nAnswer: {best}\\nConfidence: 0.5"
    if seed:
        return f"Draw {seed}.\\nAnswer: {right if seed % 3 else 'no'}\\nConfidence: 0.6"
    if knows in text:
        return f"Easy.\\nAnswer: {right}\\nConfidence: 0.9"
    return f"Not sure.\\nAnswer: {'no' if 'coin' in text else 'b'}\\nConfidence: 0.2"

def words(messages, seed): return _reply("words", messages, seed, "word")
def coins(messages, seed): return _reply("coins", messages, seed, "coin")
def blind(messages, seed): return _reply("blind", messages, seed, "nothing")

async def mine(conversation):
    await conversation.open()
    conversation.vote("log-odds")
'''


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collegium]:
    (tmp_path / "conferring.py").write_text(CONFERRING)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "conferring", raising=False)
    monkeypatch.chdir(tmp_path)
    rows = [
        f'{{"id": "q{n}", "task": "{task}", "question": "{text} number {n}", "answer": "{answer}", "kind": "{kind}", '
        f'"split": "{"train" if n < 20 else "test"}"}}'
        for n in range(40)
        for task, text, answer, kind in [
            ("coins", "Is the coin up?", "yes", "yesno") if n % 2 else ("words", "Which word?", "a", "text")
        ]
    ]
    (tmp_path / "questions.jsonl").write_text("\n".join(rows))
    experts = {name: {"script": f"conferring:{name}"} for name in ("words", "coins", "blind")}
    workers = {"engine": "scripted", "in_process": True}
    config = {
        "experts": experts,
        "workers": workers,
        "state": str(tmp_path / "state"),
        "runs": str(tmp_path / "runs"),
        "discussions": {"mine": "conferring:mine"},
    }
    with Collegium(config) as collegium:
        yield collegium


@pytest.fixture(scope="session")
def upstream() -> Iterator[Misbehaving]:
    with misbehaving() as server:
        yield server


def command(
    tmp_path: Path, upstream: Misbehaving, models: list[str], *command: str, **settings: Any
) -> tuple[int, str, Path]:
    """Exit code and output of a command on these models; questions have the answer yes."""
    questions = tmp_path / "questions.jsonl"
    rows = [
        {"id": f"{split}{n}", "question": f"Is {split} {n} so?", "answer": "yes", "kind": "yesno", "split": split}
        for split in ("validation", "test")
        for n in range(6)
    ]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    experts = {
        model: {
            "url": "http://127.0.0.1:9/v1" if model == "refused" else upstream.url,
            "model": model,
            "tries": 1,
            "timeout": 1,
        }
        for model in models
    }
    config = tmp_path / "collegium.yaml"
    state = {"state": str(tmp_path / "state"), "runs": str(tmp_path / "runs")}
    config.write_text(json.dumps({"experts": experts, **state, **settings}))
    arguments = [*command, "--task", str(questions), "--config", str(config), "--questions", "6"]
    done = CliRunner().invoke(group, arguments)
    if isinstance(done.exception, CollegiumError):
        return done.exception.exit_code, str(done.exception), tmp_path
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output, tmp_path


@pytest.fixture
def run() -> Callable[..., tuple[int, str, Path]]:
    return command
