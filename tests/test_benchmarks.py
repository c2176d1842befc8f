"""Every benchmark and example still runs on today's code: what it imports from this project exists under that name."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

from benchmarks.machine import revision

ROOT = Path(__file__).parent.parent
PACKAGES = {"agents", "benchmarks", "distill", "merging", "orchestrator", "reasoning", "router"}
SCRIPTS = sorted([*(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "examples").rglob("*.py")])


def names_of(module: Path) -> set[str]:
    """The names that a module's file binds at its top level."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return found


def missing(script: Path) -> list[str]:
    """`module.name` of every import of this project that `script` makes in vain."""
    found = []
    for node in ast.walk(ast.parse(script.read_text())):
        if not isinstance(node, ast.ImportFrom) or node.module is None or node.module.split(".")[0] not in PACKAGES:
            continue
        base = ROOT.joinpath(*node.module.split("."))
        file = base.with_suffix(".py") if base.with_suffix(".py").is_file() else base / "__init__.py"
        known = names_of(file) if file.is_file() else set()
        inside = {path.stem for path in base.glob("*.py")} | {path.name for path in base.glob("*/")}
        found += [f"{node.module}.{alias.name}" for alias in node.names if alias.name not in known | inside]
    return found


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_benchmark_imports_exists(script: Path) -> None:
    assert missing(script) == []


def test_a_name_that_is_gone_is_found(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("from distill.pairs import zipped, spoken\nfrom merging import no_such_module\n")
    assert missing(script) == ["distill.pairs.spoken", "merging.no_such_module"]


def test_a_table_that_a_run_rewrites_does_not_make_the_revision_dirty(tmp_path: Path) -> None:
    def git(*command: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        subprocess.run(["git", "-C", str(tmp_path), *who, *command], check=True, capture_output=True)

    table, code = tmp_path / "benchmarks" / "results" / "speed.md", tmp_path / "merging" / "kernels.py"
    for file in (table, code):
        file.parent.mkdir(parents=True)
        file.write_text("old\n")
    git("init")
    git("add", ".")
    git("commit", "-m", "both")
    clean = revision(table.parent)
    assert clean != "unknown"
    table.write_text("new\n")
    assert revision(table.parent) == clean
    code.write_text("new\n")
    assert revision(table.parent) == f"{clean}-dirty"
    assert revision(tmp_path.parent / "no such folder") == "unknown"
