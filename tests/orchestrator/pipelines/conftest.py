"""Scripted tutors with questions to discuss, and a tiny student."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_llama
import yaml

SCRIPTS = '''
"""Agents that know one thing each, and follow whoever is sure."""
ASKED = []

def words(messages, seed):
    return _reply(messages, "coin")

def coins(messages, seed):
    return _reply(messages, "word")

def _reply(messages, blind):
    ASKED.append(messages)
    text = messages[-1][1]
    right = "yes" if "coin" in text else "a"
    if blind not in text:
        return f"I know this one.\\nAnswer: {right}\\nConfidence: 0.9"
    if f\'"{right}"\' in text:
        return f"I am not sure, so I follow the most confident answer.\\nAnswer: {right}\\nConfidence: 0.5"
    return "I am not sure.\\nAnswer: nothing\\nConfidence: 0.2"
'''


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama.write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tutors.py").write_text(SCRIPTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "tutors", raising=False)
    monkeypatch.chdir(tmp_path)
    config = {
        "experts": {"words": {"script": "tutors:words"}, "coins": {"script": "tutors:coins"}},
        "workers": {"engine": "scripted", "in_process": True},
        "state": str(tmp_path / "state"),
        "runs": str(tmp_path / "runs"),
    }
    path = tmp_path / "collegium.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    questions: list[dict[str, Any]] = [
        {
            "id": f"q{number}",
            "task": "coins" if number % 2 else "words",
            "question": f"Is the coin up? {number}" if number % 2 else f"Which word? {number}",
            "answer": "yes" if number % 2 else "a",
            "kind": "yesno" if number % 2 else "text",
            "split": "test" if number >= 20 else "train",
        }
        for number in range(30)
    ]
    questions.append({**questions[0], "id": "held out", "split": "validation"})
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(question) + "\n" for question in questions))
    return path
