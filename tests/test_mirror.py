"""Tests mirror modules by name: `a/b.py` has `tests/a/test_b.py`, or stands in modules_without_test.txt with a reason.

A line of the list is `path: reason`. A test that the reason names exists. No module may join the list.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("agents", "router", "merging", "distill", "orchestrator", "reasoning")
MAX_LISTED = 75


def listed() -> dict[str, str]:
    """Module -> why it has no test file of its name."""
    lines = (ROOT / "tests" / "modules_without_test.txt").read_text().splitlines()
    return {path: reason.strip() for path, _, reason in (line.partition(":") for line in lines)}


def test_a_module_has_a_test_file_of_its_name() -> None:
    modules = {
        path.relative_to(ROOT)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if not path.name.startswith("__")
    }
    without = {path.as_posix() for path in modules if not (ROOT / "tests" / path.parent / f"test_{path.name}").exists()}
    assert not without - set(listed()), "write a test file of the module's name"
    assert not set(listed()) - without, "these have a test, or are gone: take them out of the list"
    assert len(listed()) <= MAX_LISTED


def test_each_line_of_the_list_has_a_reason_and_the_tests_that_it_names_exist() -> None:
    assert not [path for path, reason in listed().items() if len(reason.split()) < 2], "say why, behind a colon"
    named = {name for reason in listed().values() for name in re.findall(r"tests/[\w/]+\.py", reason)}
    assert not [name for name in sorted(named) if not (ROOT / name).exists()]
