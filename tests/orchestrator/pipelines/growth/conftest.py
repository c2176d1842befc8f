"""A scripted teacher: it reckons, writes questions, and answers from documents."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator import Collegium
from orchestrator.config import validate
from orchestrator.evaluation.context import Context

SCRIPT = """
import re
from collections import Counter

CALLS = Counter()

def teach(messages, seed):
    text = messages[-1][1]
    kind = text[:40]
    CALLS[kind] += 1
    if "Write one more question" in text:
        return WRITTEN[CALLS[kind] % len(WRITTEN)]
    if "Write one question that the passage answers" in text:
        town = re.search("Town ([A-Z])", text)[1]
        if town == "C":
            return "I cannot."
        return f"Question: Who founded town {town}?\\nAnswer: {'Nobody' if town == 'B' else 'Ada ' + town}"
    if "founded town" in text:
        town = re.search("founded town ([A-Z])", text)[1]
        return f"The passage says so.\\nAnswer: Ada {town}"
    sums = re.search(r"(\\d) \\+ (\\d)", text)
    if not sums:
        return "I do not know."
    a, b = map(int, sums.groups())
    if a == 3 and CALLS[kind] % 2:
        return "A guess.\\nAnswer: 7"
    return f"{a} + {b} = {a + b}.\\nAnswer: {a + b}"

WRITTEN = [
    "New question: How many legs have 3 hens and 2 cows?\\nAnswer: 14",
    "**Question:** What is 4 + 4?",
    "?",
]
"""


@pytest.fixture
def teachers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Context]]:
    (tmp_path / "school.py").write_text(SCRIPT)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "school", raising=False)
    config = {
        "experts": {"teacher": {"script": "school:teach"}},
        "workers": {"engine": "scripted", "in_process": True},
        "state": str(tmp_path / "state"),
    }
    with Collegium(validate(config, tmp_path / "collegium.yaml")) as collegium:
        yield lambda: collegium.context()
