"""What a program hands over in place of files and lists: questions as rows, names as one text with commas."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from orchestrator.errors import BadInput, StorageError
from orchestrator.private_files import private_file

MAX_ROWS = 1_000_000
TASK_KEYS = frozenset(("task", "subject", "category"))
"""Of a row that says what task it belongs to; where none does, all are of the task `given`."""


def understood(model: type[BaseModel], options: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The options as `model` takes them.

    A list of names may be one text, separated by commas. `task` may be the questions themselves: mappings as in a file
    of questions, a pandas DataFrame, a data set of Hugging Face's; `questions` as well, if it is no number. They are
    written as JSON Lines into `folder`, under a name made of their content: the same questions are the same run.

    Raises `BadInput` naming the row for questions that are no mappings, `StorageError` where they cannot be written.
    """
    found = dict(options)
    fields = model.model_fields
    for name, value in options.items():
        if isinstance(value, str) and name in fields and fields[name].annotation == list[str]:
            found[name] = [one.strip() for one in value.split(",") if one.strip()]
    if "task" in fields and _are_rows(found.get("questions")):
        if "task" in found:
            raise BadInput("questions: give the questions themselves as `task`, or their number here, not both")
        found["task"] = found.pop("questions")
    if "task" in fields and _are_rows(found.get("task")):
        found["task"] = str(_written(found["task"], folder))
    return found


def _are_rows(value: Any) -> bool:
    return value is not None and not isinstance(value, (str, bytes, int, float, Path)) and isinstance(value, Iterable)


def _written(given: Any, folder: Path) -> Path:
    rows = given.to_dict("records") if hasattr(given, "to_dict") and hasattr(given, "columns") else given
    if isinstance(rows, Mapping):
        raise BadInput("task: a list of questions is needed, one mapping each")
    lines = []
    named = False
    for place, row in enumerate(rows):
        if place >= MAX_ROWS:
            raise BadInput(f"task: more than {MAX_ROWS:,} questions; give a file")
        if not isinstance(row, Mapping):
            raise BadInput(
                f'task: question {place}: {{"question": ..., "answer": ...}} is needed, not {type(row).__name__}'
            )
        named = named or not TASK_KEYS.isdisjoint(row)
        lines.append({str(key): _plain(value, place, key) for key, value in row.items()})
    if not lines:
        raise BadInput("task: there is no question in the list")
    content = "".join(json.dumps(row if named else {"task": "given", **row}) + "\n" for row in lines).encode()
    path = folder / f"given-{hashlib.sha256(content).hexdigest()[:16]}.jsonl"
    if not path.exists():
        try:
            private_file(path).write_bytes(content)
        except OSError as error:
            raise StorageError(f"{path}: the questions cannot be written: {error.strerror}") from error
    return path


def _plain(value: Any, place: int, key: Any) -> Any:
    """A value of a cell as JSON has it: NumPy's numbers as numbers, what is missing as null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"task: question {place}: {key}: cannot be written as JSON: {error}") from None
    return value
