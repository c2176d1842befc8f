"""One entry to all questions: generated tasks, files and folders, Hugging Face datasets, lm-evaluation-harness."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from agents.question import Question
from orchestrator.errors import BadInput
from orchestrator.evaluation.tasks import harness, hub
from orchestrator.evaluation.tasks.columns import Columns
from orchestrator.evaluation.tasks.registry import MIXED, TASKS
from orchestrator.evaluation.tasks.source import QuestionSource
from orchestrator.evaluation.tasks.splits import chosen
from orchestrator.evaluation.tasks.task import SPLITS, Task
from orchestrator.extensions import extension
from router.records import SUFFIXES

_log = logging.getLogger("collegium")


def names() -> tuple[str, ...]:
    """The generated tasks, and `mixed` and `mixed2`, which stand for several of them in equal shares."""
    return (*TASKS, *MIXED)


def load(
    name_or_path: str,
    split: str,
    n: int | None,
    seed: int = 0,
    columns: Columns | None = None,
    *,
    runs_code: bool = False,
    note: Callable[[str], None] = _log.warning,
) -> list[Question]:
    """`n` questions of one split; the same arguments give the same questions.

    `name_or_path` is a generated task, `mixed`, `mixed2`, a file or folder of questions, `hf:NAME` for a Hugging Face
    dataset, `lm-eval:NAME` for a task of lm-evaluation-harness, or several of these with commas, in equal shares. A
    source may have fewer than `n` questions: then all of them come back; None asks for all. `columns`: which column
    holds what, where its name does not say so. `runs_code`: the caller runs answers of kind code; else such questions
    are refused. `note` hears which splits were made, a line per source.

    Raises:
        BadInput: an unknown name or split, a record that cannot be read (with its place), too small an `n`.
    """
    if n is not None and n < 1:
        raise BadInput(f"cannot load {n} questions of {name_or_path!r}; ask for 1 or more")
    sources = sources_in(name_or_path)
    if len(sources) == 1:
        return _one(sources[0], split, n, seed, columns, runs_code, note)
    share = None if n is None else -(-n // len(sources))
    shares = [_one(source, split, share, seed, columns, runs_code, note) for source in sources]
    together = [question for row in range(max(map(len, shares))) for part in shares for question in part[row : row + 1]]
    return together[:n]


def sources_in(text: str) -> list[str]:
    """The sources that a task's text names; `mixed` and `mixed2` stand for several. Raises BadInput for none."""
    if Path(text).expanduser().exists():  # a path may hold a comma
        return [text]
    named = [part.strip() for part in text.split(",") if part.strip()]
    found = [each for part in named for each in ([t.name for t in MIXED[part]] if part in MIXED else [part])]
    if not found:
        raise BadInput(f"no task named; known tasks: {', '.join(names())}")
    return found


def source_of(name: str, columns: Columns | None = None) -> QuestionSource:
    """The source of this name that is no generated task. Raises BadInput where there is none."""
    if name.startswith(hub.HUB):
        return hub.source(name, columns or Columns())
    if name.startswith(harness.HARNESS):
        return harness.source(name, columns or Columns())
    known = any(name.lower().removesuffix(end).endswith(SUFFIXES) for end in ("", ".gz", ".zst", ".bz2"))
    if known or Path(name).expanduser().exists():
        return QuestionSource.of_files(name, columns or Columns())
    raise BadInput(f"no task or file {name!r}; known tasks: {', '.join(names())}")


def _one(
    source: str,
    split: str,
    n: int | None,
    seed: int,
    columns: Columns | None,
    runs_code: bool,
    note: Callable[[str], None],
) -> list[Question]:
    if task := generated_task(source):
        return _generated(task, split, n, seed)
    found = chosen(source_of(source, columns), split, n, seed, note)
    return found if runs_code else _judgeable(found, source)


def _judgeable(questions: list[Question], source: str) -> list[Question]:
    """Raises BadInput for questions that no scorer here can judge."""
    for question in questions:
        if question.kind == "code":
            raise BadInput(
                f"{source}: question {question.id!r}: kind code: only running code tells whether it works: `--score "
                "code` runs replies with the tests of the question in a sandbox (run, profile); or give it the kind "
                "open, or text to compare the words"
            )
    return questions


def generated_task(name: str) -> Task | None:
    """The generated task of this name, Collegium's or another package's; None where there is none."""
    return TASKS.get(name) or own_task(name)


def own_task(name: str) -> Task | None:
    """Another package's task: an entry point of the group `collegium.tasks`, or `module:attribute`. None where there is
    none of this name. Raises BadInput for one that is no task or cannot be imported."""
    if name.startswith((hub.HUB, harness.HARNESS)):
        return None
    found = extension("collegium.tasks", name, "task")
    if found is not None and not isinstance(found, Task):
        raise BadInput(f"task {name!r} is no Task but {type(found).__name__}")
    return found


def _generated(task: Task, split: str, n: int | None, seed: int) -> list[Question]:
    known = next((each for each in SPLITS if each == split), None)
    if known is None:
        raise BadInput(f"task {task.name!r} has no split {split!r}; it has {', '.join(SPLITS)}")
    if n is None:
        raise BadInput(f"task {task.name!r} is generated without end: say how many questions")
    return task.questions(known, n, seed)
