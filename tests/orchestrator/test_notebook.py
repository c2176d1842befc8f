"""Progress in a notebook, on a stand-in for IPython's display."""

from __future__ import annotations

import asyncio
import sys
import types
from typing import Any

import pytest

from orchestrator import notebook
from orchestrator.inference.schedule.timeline import PoolProgress
from tests.orchestrator.test_progress import Workers


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a notebook displays, in its order."""
    found: list[str] = []

    class Handle:
        def update(self, what: Any) -> None:
            found.append(repr(what))

    def display(what: Any, display_id: bool) -> Handle:
        found.append(repr(what))
        return Handle()

    module = types.ModuleType("IPython")
    module.get_ipython = lambda: types.SimpleNamespace(kernel=object())  # type: ignore[attr-defined]
    shown = types.ModuleType("IPython.display")
    shown.display = display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    monkeypatch.setattr(notebook, "TICK", 0.001)
    return found


async def test_one_line_is_renewed_and_ends_with_the_sums(lines: list[str]) -> None:
    workers = Workers()
    assert notebook.in_notebook()
    async with notebook.notebook_progress(workers):
        while len(lines) < 2:
            await asyncio.sleep(0.001)
        workers.progress = PoolProgress(3, 3, 0, 9, 1, {"0": "a"})
    assert lines[0] == "..."
    assert lines[1] == "starting 1 worker(s) with scripted ..."
    assert lines[-1] == "3/3 replies · 1 loads"


async def test_elsewhere_nothing_is_displayed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not notebook.in_notebook()
    async with notebook.notebook_progress(Workers()):
        pass
