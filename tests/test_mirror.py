"""Tests mirror modules by name: `a/b.py` has `tests/a/test_b.py`, or stands in modules_without_test.txt, which shrinks.

A module in the list is tested through another one's file; no module may join the list.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("agents", "router", "merging", "distill", "orchestrator")
MAX_LISTED = 122


def test_a_module_has_a_test_file_of_its_name() -> None:
    listed = set((ROOT / "tests" / "modules_without_test.txt").read_text().split())
    modules = {
        path.relative_to(ROOT)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if not path.name.startswith("__")
    }
    without = {path.as_posix() for path in modules if not (ROOT / "tests" / path.parent / f"test_{path.name}").exists()}
    assert not without - listed, "write a test file of the module's name"
    assert not listed - without, "these have a test, or are gone: take them out of the list"
    assert len(listed) <= MAX_LISTED
