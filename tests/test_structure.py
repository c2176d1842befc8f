"""The rules that a machine can check: arrows between packages, light imports, what the wheel carries."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "merging": {"merging"},
    "router": {"router"},
    "reasoning": {"reasoning"},
    "agents": {"agents", "reasoning"},
    "distill": {"distill", "agents"},
    "orchestrator": {"orchestrator", "merging", "router", "agents", "distill", "reasoning"},
}


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_follow_the_arrows(package: str) -> None:
    against = []
    for file in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            wrong = {name.split(".")[0] for name in names} & (ALLOWED.keys() - ALLOWED[package])
            against += [f"{file.relative_to(ROOT)}:{node.lineno} imports {name}" for name in wrong]
    assert not against


def test_the_contracts_of_import_linter_hold() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "0 broken" in done.stdout


def test_every_check_of_make_check_is_a_hook_of_pre_commit() -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\ncheck: setup\n")[2].partition("\n\n")[0]
    commands = [line.strip().removeprefix("@$(VENV)/bin/") for line in recipe.splitlines()]
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert len(commands) >= 4
    assert [hook["entry"].removeprefix(".venv/bin/") for hook in hooks] == commands


def test_a_merge_waits_for_no_library_of_conversations() -> None:
    heavy = ("langchain_core", "langsmith", "torch", "vllm", "ray", "transformers", "sqlalchemy")
    heavy += ("agents", "router", "orchestrator.collegium", "orchestrator.evaluation", "orchestrator.inference")
    program = f"import sys, orchestrator.cli.merge, merging.merge; print(*[n for n in {heavy} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("package", [*ALLOWED, "orchestrator.config"])
def test_importing_a_package_imports_nothing_heavy(package: str) -> None:
    program = (
        f"import sys, {package}; print(*[n for n in ('torch', 'vllm', 'ray', 'transformers') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_wheel_carries_all_data_and_no_tests(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns(".venv", ".git", "runs", "build", "*.egg-info", "__pycache__", ".*_cache")
    source = shutil.copytree(ROOT, tmp_path / "source", ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*command, str(source)], check=True, capture_output=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    carried = set(zipfile.ZipFile(wheel).namelist())
    data = [
        path.relative_to(ROOT).as_posix()
        for folder in ("experts/demo_zoo", "evaluation/report", "locks")
        for path in (ROOT / "orchestrator" / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert len(data) > 10
    assert set(data) <= carried
    assert {f"{package}/py.typed" for package in ALLOWED} <= carried  # editors read the types
    assert not [name for name in carried if name.startswith(("tests/", "benchmarks/", "examples/"))]


LOADS_CODE = {"from_pretrained", "from_config", "SentenceTransformer", "CrossEncoder"}
DOOR = ROOT / "orchestrator/inference/pretrained.py"


def _may_run_code(tree: ast.AST) -> list[int]:
    """Lines that load a model's folder without `trust_remote_code=False`, or hand the loader on uncalled."""
    found, called = [], set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) in LOADS_CODE:
            called.add(node.func)
            given = {keyword.arg: keyword.value for keyword in node.keywords}.get("trust_remote_code")
            if not (isinstance(given, ast.Constant) and given.value is False):
                found.append(node.lineno)
    handed = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node not in called)
    return sorted(found + [node.lineno for node in handed if node.attr in LOADS_CODE])


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def test_no_model_folder_is_loaded_with_its_own_code() -> None:
    files = [file for package in ALLOWED for file in (ROOT / package).rglob("*.py") if file != DOOR]
    texts = {file: file.read_text() for file in files}
    suspects = {file: text for file, text in texts.items() if any(name in text for name in LOADS_CODE)}
    assert len(suspects) > 3
    against = [
        f"{file.relative_to(ROOT)}:{line}" for file, text in suspects.items() for line in _may_run_code(ast.parse(text))
    ]
    assert not against, "trust_remote_code=False is missing"


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("A.from_pretrained(f, trust_remote_code=False)", False),
        ("A.from_pretrained(f)", True),
        ("A.from_pretrained(f, trust_remote_code=trust)", True),
        ("SentenceTransformer(f)", True),
        ("call(A.from_pretrained, f)", True),
    ],
)
def test_a_loader_without_the_refusal_is_seen(source: str, wrong: bool) -> None:
    assert bool(_may_run_code(ast.parse(source))) is wrong
