"""Which stack a machine gets, and what it is told: by what its driver says, not by one tool."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import install
from orchestrator.inventory import Card, Inventory

H100 = Card("NVIDIA H100", (9, 0))
P100 = Card("Tesla P100", (6, 0))


@pytest.mark.parametrize(
    ("found", "stack", "said"),
    [
        (Inventory((H100,), (13, 0), "libcuda"), "cuda", "NVIDIA H100 .compute capability 9.0., driver for CUDA 13.0"),
        (Inventory((H100,), None, "nvidia-smi"), "cuda", "NVIDIA H100"),
        (Inventory((H100,), (12, 8), "libcuda"), "cpu", "supports CUDA 12.8, the stack needs 13.0: update the NVIDIA"),
        (Inventory((H100, P100), (13, 1), "libcuda"), "cpu", "Tesla P100 has compute capability 6.0, vLLM needs 7.5"),
        (Inventory((), None, "neither libcuda nor nvidia-smi shows one"), "cpu", "no NVIDIA GPU found .neither"),
    ],
)
def test_the_stack_follows_driver_and_cards(
    found: Inventory, stack: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "inventory", lambda: found)
    monkeypatch.delenv("COLLEGIUM_STACK", raising=False)
    chosen = install.choose_stack()
    assert chosen is not None
    assert chosen[0] == stack
    assert re.search(said, chosen[1])


@pytest.mark.parametrize("asked", ["cpu", "cuda"])
def test_the_environment_overrides_and_the_doubt_is_said(
    asked: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install, "inventory", lambda: Inventory((P100,), (13, 0), "libcuda"))
    monkeypatch.setenv("COLLEGIUM_STACK", asked)
    chosen = install.choose_stack()
    assert chosen is not None
    assert chosen[0] == asked
    assert ("although Tesla P100 has compute capability 6.0" in capsys.readouterr().out) == (asked == "cuda")


def test_another_word_installs_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLLEGIUM_STACK", "rocm")
    assert install.main() == 1
    assert "COLLEGIUM_STACK is 'rocm': wanted cpu or cuda" in capsys.readouterr().out


def pins(stack: str) -> dict[str, str]:
    """Name -> version of the lock, each with at least one hash."""
    entries = re.split(r"\n(?=\S)", (install.LOCKS / f"{stack}.txt").read_text().strip())
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)
    return dict(re.match(r"([\w.-]+)==([\w.+!-]+)", entry).groups() for entry in entries)  # type: ignore[union-attr]


def test_the_cuda_lock_keeps_to_vllms_own_pins() -> None:
    """vLLM 0.33.0's metadata: certifi>=2026.10.19, setuptools<81 (Python over 3.11), torch==2.14.0, numba==0.65.0; and
    a cuda-python that there is for Python 3.13, which is no newer than its bindings."""
    from packaging.requirements import Requirement

    pinned = pins("cuda")
    for text in (
        "certifi>=2026.10.19",
        "setuptools<81,>=78.1.1",
        "torch==2.14.0",
        "numba==0.65.0",
        "xgrammar==0.2.8",
        "cuda-python>=13",
        f"cuda-bindings~={pinned['cuda-python']}",
    ):
        wanted = Requirement(text)
        assert wanted.specifier.contains(pinned[wanted.name]), text


@pytest.mark.parametrize("stack", ["cpu", "cuda"])
def test_a_stack_is_installed_by_its_hashes_and_nothing_else(stack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(install, "pip", lambda *arguments: calls.append(arguments) or True)
    monkeypatch.setattr(install, "imports", lambda: True)
    assert install.install_lock(stack)
    assert calls[-1] == ("--no-deps", "--require-hashes", "-r", str(install.LOCKS / f"{stack}.txt"))
    assert calls[:-1] == ([("--no-deps", "torch==2.13.0+cpu")] if stack == "cpu" else [])
    assert ("torch" in pins(stack)) == (stack == "cuda")


def test_it_runs_before_anything_is_installed() -> None:
    root = str(Path(__file__).parents[2])
    program = f"import sys; sys.path.insert(0, {root!r}); import orchestrator.install"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "-m orchestrator.install" in (Path(root) / "Makefile").read_text()
