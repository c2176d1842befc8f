"""Two specialists, one who is always wrong, and a critic: scripted, with an embedder of words."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.collegium import Collegium

SCRIPTS = '''
"""Two specialists who name skills, one who is always wrong and a critic who reads others well."""

ASKED = []

def reply(messages, seed, knows):
    text = messages[-1][1]
    ASKED.append((knows, text, seed))
    coin = "coin" in text
    if "Keywords:" in text:
        if knows == "critic":
            return "I would rather not say."
        word = "tossing" if coin else "spelling"
        return f"Keywords: {word}, whim {seed % 7}"
    right = "yes" if coin else "a"
    if "Several agents replied" in text:
        return f"Answer: {right}" if knows == "critic" else "<think>Answer: wrong"
    known = knows == ("coins" if coin else "words")
    return f"<think>secret</think>So it is.\\nAnswer: {right if known else 'no'}"

def words(messages, seed):
    return reply(messages, seed, "words")

def coins(messages, seed):
    return reply(messages, seed, "coins")

def wrong(messages, seed):
    return reply(messages, seed, "wrong")

def critic(messages, seed):
    return reply(messages, seed, "critic")
'''


class Words:
    """An embedder of single words: equal ones are near, others far apart."""

    identity = "words"

    def asked(self, texts: Any, before: Any) -> Any:
        return self.features(texts)

    def features(self, texts: Any, skills: Any = ()) -> Any:
        import hashlib

        import numpy as np

        from router.embedding import Features

        def vector(text: str) -> Any:
            row = np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])).standard_normal(64)
            return (row / np.linalg.norm(row)).astype(np.float32)

        tags = tuple(tuple(row) for row in skills)
        distinct = {tag: vector(tag) for row in tags for tag in row}
        return Features(np.stack([vector(text) for text in texts]), tags if distinct else (), distinct)


@pytest.fixture
def collegium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "panel_scripts.py").write_text(SCRIPTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "panel_scripts", raising=False)
    names = ("words", "coins", "wrong", "critic")
    lines = [
        f'{{"id": "{split}{n}", "task": "{"toss" if n % 2 else "spell"}", "split": "{split}", '
        + (
            f'"question": "Is coin {n} up?", "answer": "yes", "kind": "yesno"}}'
            if n % 2
            else f'"question": "Which letter is number {n}?", "answer": "a", "kind": "text"}}'
        )
        for split, first in (("validation", 0), ("test", 20))
        for n in range(first, first + 20)
    ]
    (tmp_path / "asked.jsonl").write_text("\n".join(lines))
    config = {
        "experts": {name: {"script": f"panel_scripts:{name}"} for name in names},
        "workers": {"engine": "scripted", "in_process": True},
        "state": str(tmp_path / "state"),
        "runs": str(tmp_path / "runs"),
    }
    with Collegium(config) as made:
        made.__dict__["embedder"] = Words()
        yield made
