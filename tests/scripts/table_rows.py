"""A row of a correctness table with every key, and files of rows."""

from __future__ import annotations

import json
from pathlib import Path

GOOD = {
    "id": "a",
    "question": "2 + 2?",
    "answer": "4",
    "split": "val",
    "predictions": {"x": "4", "y": None},
    "correct": {"x": 1, "y": 0.25},
    "source": {"page": 7},
}


def file(folder: Path, *rows: object, name: str = "t.jsonl") -> Path:
    path = folder / name
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path
