"""One door to all questions: generated tasks, JSON Lines files, Hugging Face datasets."""

from __future__ import annotations

import random
from pathlib import Path

from agents.question import Question
from orchestrator.errors import BadInput
from orchestrator.evaluation.tasks import hub, json_lines
from orchestrator.evaluation.tasks.registry import GENERATED
from orchestrator.evaluation.tasks.task import SPLITS, Task

MIXED = "mixed"
HUB = "hf:"


def names() -> tuple[str, ...]:
    """The generated tasks and `mixed`, which is all of them in equal shares."""
    return (*(task.name for task in GENERATED), MIXED)


def load(
    name_or_path: str, split: str, n: int | None, seed: int = 0, columns: hub.ColumnNames | None = None
) -> list[Question]:
    """`n` questions of one split; the same arguments give the same questions.

    `name_or_path` is a generated task, `mixed`, a JSON Lines file (`.jsonl` or `.jsonl.gz`), `hf:NAME` for a Hugging
    Face dataset (with `columns`), or several of these with commas, in equal shares. A file or dataset may have fewer
    than `n` questions: then all of them come back; None asks for all. A file without a `validation` split yields a
    tenth of its `train` split under that name, and withholds it from `train`.

    Raises:
        BadInput: an unknown name or split, a file that cannot be read (with its line), too small an `n`.
    """
    if n is not None and n < 1:
        raise BadInput(f"cannot load {n} questions of {name_or_path!r}; ask for 1 or more")
    sources = [part.strip() for part in name_or_path.split(",") if part.strip()]
    sources = [each for part in sources for each in ([t.name for t in GENERATED] if part == MIXED else [part])]
    if not sources:
        raise BadInput(f"no task named; known tasks: {', '.join(names())}")
    if len(sources) == 1:
        return _one(sources[0], split, n, seed, columns)
    share = None if n is None else -(-n // len(sources))
    shares = [_one(source, split, share, seed, columns) for source in sources]
    together = [question for row in range(max(map(len, shares))) for part in shares for question in part[row : row + 1]]
    return together[:n]


def _one(source: str, split: str, n: int | None, seed: int, columns: hub.ColumnNames | None) -> list[Question]:
    task = next((task for task in GENERATED if task.name == source), None)
    if task:
        return _generated(task, split, n, seed)
    if source.startswith(HUB):
        if not columns:
            raise BadInput(f"{source}: say which of its columns hold what (columns=Columns(question=..., answer=...))")
        questions = hub.read(source.removeprefix(HUB), split, columns)
    elif source.endswith((".jsonl", ".jsonl.gz")) or Path(source).is_file():
        questions = json_lines.split(json_lines.read(Path(source)), split, source)
    else:
        raise BadInput(f"no task or file {source!r}; known tasks: {', '.join(names())}")
    # A sample by seed, in the source's order: the seed decides which questions, not how they are arranged.
    if n is None or n >= len(questions):
        return questions
    chosen = sorted(random.Random(f"{source}/{split}/{seed}").sample(range(len(questions)), n))
    return [questions[index] for index in chosen]


def _generated(task: Task, split: str, n: int | None, seed: int) -> list[Question]:
    known = next((each for each in SPLITS if each == split), None)
    if known is None:
        raise BadInput(f"task {task.name!r} has no split {split!r}; it has {', '.join(SPLITS)}")
    if n is None:
        raise BadInput(f"task {task.name!r} is generated without end: say how many questions")
    return task.questions(known, n, seed)
