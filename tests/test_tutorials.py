"""Every tutorial runs as it is written: its files are made, its commands called, its Python run as a script and as a
notebook's cells, and what it says is printed is printed.

A block whose first line is a comment with a file's name is that file. Behind a command `# is refused` means that, and
`# needs ...` that no test has it. Python below `# in a notebook` runs there only. A block of text holds what the
commands before it print.
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
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
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
    text: str

    @property
    def file(self) -> str | None:
        found = FILE.match(self.text)
        return found[1] if found else None


def blocks(name: str) -> list[Block]:
    return [Block(*found.groups()) for found in BLOCK.finditer((TUTORIALS / name).read_text())]


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


def commands(block: Block) -> list[tuple[list[str], bool]]:
    """(words, whether it is refused) of each command that can be called here."""
    found = [(shlex.split(line, comments=True), line.partition("   # ")[2]) for line in block.text.splitlines()]
    assert all(words[0] == "collegium" for words, _ in found if words)
    return [(words[1:], said == "is refused") for words, said in found if words and not said.startswith("needs ")]


def called(words: list[str], fails: bool) -> str:
    """What a command prints, and the line of its refusal."""
    result = CliRunner().invoke(group, words)
    assert bool(result.exit_code) == fails, (words, result.output[-2000:], result.exception)
    return f"{result.output}\n{result.exception or ''}"


def written(block: Block, server: str) -> Block:
    return Block(block.language, block.text.replace("http://localhost:8080/v1", server))


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
                for words, fails in commands(block):
                    printed += called(words, fails) + caplog.text
                    checked += 1
            elif block.language == "text":
                said = " ".join(printed.split())
                for line in block.text.splitlines():
                    assert " ".join(line.split()) in said, (line, printed[-3000:])
            elif is_python(block) and not block.text.startswith("# in a notebook"):
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
