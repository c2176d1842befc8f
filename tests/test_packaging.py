"""What is built is whole: every file that the packages need is in the wheel, the container file copies every package,
and builds need nothing that `make setup` does not install."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = [name.removesuffix("*") for name in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]]


def tracked() -> list[str]:
    done = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("no checkout of git")
    return done.stdout.splitlines()


def test_every_file_that_is_no_python_is_package_data() -> None:
    data = PROJECT["tool"]["setuptools"]["package-data"]
    others = [path for path in tracked() if not path.endswith(".py")]
    assert len(others) > 50
    for path in others:
        package, _, inside = path.partition("/")
        # `**` of a glob is any number of folders.
        fits = (fnmatch.fnmatch(inside, pattern.replace("**/*", "*")) for pattern in data[package])
        assert any(fits), f"{path} would be missing in the wheel"


def test_every_folder_of_python_is_a_package() -> None:
    for path in tracked():
        folder = (ROOT / path).parent
        assert not path.endswith(".py") or (folder / "__init__.py").exists(), f"{folder} would be missing in the wheel"


def test_the_container_file_copies_every_package_and_what_builds_it() -> None:
    text = (ROOT / "Containerfile").read_text()
    copied = {source for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE) for source in line.split()}
    assert copied >= {*PACKAGES, "pyproject.toml", "README.md", "LICENSE"}
    assert all((ROOT / source).exists() for source in copied)
    seen = (ROOT / ".dockerignore").read_text().splitlines()
    assert {source.partition("/")[0] for source in copied} <= {line.removeprefix("!") for line in seen}


@pytest.mark.parametrize("stack", ["cpu", "cuda"])
def test_the_locks_hold_what_a_build_needs(stack: str) -> None:
    locked = (ROOT / "orchestrator" / "locks" / f"{stack}.txt").read_text()
    for requirement in PROJECT["build-system"]["requires"]:
        name = re.split(r"[<>=!]", requirement)[0]
        assert re.search(rf"^{name}==", locked, re.MULTILINE), name


def test_the_documented_extras_exist() -> None:
    text = (ROOT / "docs" / "releases.md").read_text() + (ROOT / "README.md").read_text()
    named = {extra for found in re.findall(r"\[([\w,]+)\]'", text) for extra in found.split(",")}
    assert named
    assert named <= PROJECT["project"]["optional-dependencies"].keys()
