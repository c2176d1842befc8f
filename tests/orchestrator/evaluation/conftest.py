"""Scripted experts that confer, and commands on a server that misbehaves."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from orchestrator import Collegium
from orchestrator.cli import group
from orchestrator.errors import CollegiumError
from router.embedding import Features
from router.row import Row
from router.table import Table
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


class Words:
    """An embedder without a model: a vector a word, added up."""

    def embed(self, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        rows = []
        for text in texts:
            row = np.zeros(32)
            for word in text.split() or [text]:
                seed = int.from_bytes(hashlib.sha256(word.encode(errors="replace")).digest()[:4])
                row += np.random.default_rng(seed).standard_normal(32)
            rows.append(row / np.linalg.norm(row))
        return np.array(rows, np.float32)

    def features(self, texts: Sequence[str], skills: Sequence[Sequence[str]] = ()) -> Features:
        tags = tuple(tuple(row) for row in skills)
        distinct = sorted({tag for row in tags for tag in row})
        vectors = dict(zip(distinct, self.embed(distinct), strict=True)) if distinct else {}
        return Features(self.embed(texts), tags if distinct else (), vectors)


def routed(n: int = 60, **more: Any) -> Table:
    """Sums, which `sums` knows, and rivers, which `rivers` knows; every seventh they mix up."""
    rows = []
    for number in range(n):
        about = ("sums", "rivers")[number % 2]
        right = {"sums": about == "sums", "rivers": about == "rivers"}
        if number % 7 == 0:
            right = {name: not value for name, value in right.items()}
        rows.append(
            Row(
                f"q{number}",
                f"{'What is the sum of' if about == 'sums' else 'Where does the river flow'} {number} ?",
                {name: float(value) for name, value in right.items()},
                split="val" if number < n // 2 else "dev",
                category=about,
                answer="A",
                predictions={name: "A" if value else "B" for name, value in right.items()},
                extra={"cost": {"sums": 2.0, "rivers": 1.0}},
            )
        )
    return Table.from_rows(rows)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a zoo of two experts and one newcomer, and a table of the two."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("orchestrator.collegium.embedder_of", lambda config: Words())
    experts = {name: {"script": "acted:words"} for name in ("sums", "rivers", "newcomer")}
    config = {"experts": experts, "runs": str(tmp_path / "runs"), "state": str(tmp_path / "state")}
    (tmp_path / "collegium.yaml").write_text(yaml.safe_dump(config))
    routed().write(tmp_path / "table.jsonl")
    return tmp_path


@pytest.fixture
def table() -> Callable[..., Table]:
    return routed
