"""A zoo of scripted experts in the folder that a command runs in."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml

SCRIPTS = '''
"""Experts that know one thing each: the answer is worked out from the prompt."""
import hashlib

ASKED = []

def words(messages, seed):
    ASKED.append(messages)
    return _reply(messages, "coin")

def coins(messages, seed):
    ASKED.append(messages)
    return _reply(messages, "word")

def _reply(messages, blind):
    text = messages[-1][1]
    if blind in text:
        return "I am not sure.\\nAnswer: nothing\\nConfidence: 0.2"
    return f"Easy.\\nAnswer: {'yes' if 'coin' in text else 'a'}\\nConfidence: 0.9"
'''


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "acted.py").write_text(SCRIPTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "acted", raising=False)
    monkeypatch.chdir(tmp_path)
    config = {
        "experts": {"words": {"script": "acted:words"}, "coins": {"script": "acted:coins"}},
        "workers": {"engine": "scripted", "in_process": True},
        "state": str(tmp_path / "state"),
        "runs": str(tmp_path / "runs"),
    }
    path = tmp_path / "collegium.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    questions = [
        {
            "id": f"q{number}",
            "task": task,
            "question": f"{text} number {number}",
            "answer": answer,
            "kind": kind,
            "split": split,
        }
        for split, start in (("train", 0), ("test", 40))
        for number in range(start, start + 40)
        for task, text, answer, kind in [
            ("coins", "Is the coin up?", "yes", "yesno") if number % 2 else ("words", "Which word?", "a", "text")
        ]
    ]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(question) + "\n" for question in questions))
    return path
