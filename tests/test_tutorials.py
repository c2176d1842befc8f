"""Every tutorial runs as it is written: its files are made, its commands called, its Python run as a script and as a
notebook's cells, and what it says is printed is printed.

A block whose first line is a comment with a file's name is that file. Behind ```bash, `fails` says that the command is
refused, `elsewhere` that it needs what no test has; behind ```python, `notebook` that only a notebook runs it. A block
of ```text holds what the commands before it print.
"""

from __future__ import annotations

import ast
import asyncio
import csv
import inspect
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tiny_llama
import yaml
from click.testing import CliRunner

from orchestrator.cli import group
from tests.scripts.misbehaving import misbehaving

TUTORIALS = Path(__file__).parent.parent / "docs" / "tutorials"
BLOCK = re.compile(r"^```(\w+)(?: (\w+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w-]+\.\w+)\n")
EXPERTS = '''
"""What a reader's configuration names: an expert that adds, and one that knows no numbers."""
import re

def adds(messages, seed):
    found = re.search(r"(\\d+) \\+ (\\d+)", messages[-1][1])
    if "Keywords:" in messages[-1][1]:
        return "Keywords: sums"
    return f"Answer: {int(found[1]) + int(found[2])}" if found else "Answer: no"

def guesses(messages, seed):
    return "Keywords: facts" if "Keywords:" in messages[-1][1] else "Answer: yes"
'''
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@dataclass(frozen=True)
class Block:
    language: str
    word: str
    text: str

    @property
    def file(self) -> str | None:
        found = FILE.match(self.text)
        return found[1] if found else None


def blocks(name: str) -> list[Block]:
    return [Block(*found.groups(default="")) for found in BLOCK.finditer((TUTORIALS / name).read_text())]


NAMES = sorted(path.name for path in TUTORIALS.glob("*.md"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a reader has: a configuration, a file of questions, a model, and a server at port 8080."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (tmp_path / "readers_experts.py").write_text(EXPERTS)
    experts = {name: {"script": f"readers_experts:{function}"} for name, function in EXPERT_FUNCTIONS.items()}
    config: dict[str, Any] = {"experts": experts, "workers": {"engine": "scripted", "in_process": True}}
    (tmp_path / "collegium.yaml").write_text(yaml.safe_dump(config))
    tiny_llama.write(tmp_path / "my-llama")
    with (tmp_path / "questions.csv").open("w", newline="") as file:
        rows = [("question", "answer"), *((f"What is {n} + {n + 1}?", 2 * n + 1) for n in range(40))]
        csv.writer(file).writerows(rows)
    return tmp_path


EXPERT_FUNCTIONS = {"adder": "adds", "guesser": "guesses"}


def commands(block: Block) -> list[list[str]]:
    lines = block.text.replace("\\\n", " ").splitlines()
    found = [shlex.split(line, comments=True) for line in lines]
    return [words[1:] for words in found if words and words[0] == "collegium"]


def called(words: list[str], fails: bool) -> str:
    """What a command prints, and the line of its refusal."""
    result = CliRunner().invoke(group, words)
    assert bool(result.exit_code) == fails, (words, result.output[-2000:], result.exception)
    return f"{result.output}\n{result.exception or ''}"


def written(block: Block, server: str) -> Block:
    return Block(block.language, block.word, block.text.replace("http://localhost:8080/v1", server))


def is_python(block: Block) -> bool:
    return block.language == "python" and block.file is None


@pytest.mark.parametrize("name", NAMES)
def test_commands_and_scripts_run_and_print_what_is_said(
    name: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if name == "own-model.md":  # a real model, on the engine that every machine has
        (folder / "collegium.yaml").write_text("workers: {engine: transformers, in_process: true}\n")
    printed, checked = "", 0
    namespace: dict[str, Any] = {"__name__": "__main__"}
    with misbehaving() as upstream:
        for block in (written(one, upstream.url) for one in blocks(name)):
            if block.file:
                body = block.text.partition("\n")[2] if block.file.endswith(".csv") else block.text
                (folder / block.file).write_text(body)
            elif block.language == "bash":
                for words in commands(block) if block.word != "elsewhere" else ():
                    printed += called(words, block.word == "fails") + caplog.text
                    checked += 1
            elif block.language == "text":
                said = " ".join(printed.split())
                for line in block.text.splitlines():
                    assert " ".join(line.split()) in said, (line, printed[-3000:])
            elif is_python(block) and block.word != "notebook":
                exec(compile(block.text, name, "exec"), namespace)
                checked += 1
    assert checked


@pytest.mark.parametrize("name", [name for name in NAMES if any(map(is_python, blocks(name)))])
async def test_python_runs_as_cells_of_a_notebook(name: str, folder: Path) -> None:
    """As a kernel does it: each cell in the running loop, with `await` at its top."""
    for block in blocks(name):
        if block.file:
            (folder / block.file).write_text(block.text)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    assert asyncio.get_running_loop()
    for block in filter(is_python, blocks(name)):
        code = compile(block.text, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if code.co_flags & inspect.CO_COROUTINE:
            await eval(code, namespace)
        else:
            exec(code, namespace)


def test_every_promised_tutorial_is_there_and_in_the_menu() -> None:
    promised = {"which-command", "own-model", "own-data", "reasoning-models", "gpu-memory", "remote-apis", "notebook"}
    assert {*promised, "cluster"} == {name.removesuffix(".md") for name in NAMES}
    menu = (TUTORIALS.parents[1] / "mkdocs.yml").read_text()
    assert all(f"tutorials/{name}" in menu for name in NAMES)
