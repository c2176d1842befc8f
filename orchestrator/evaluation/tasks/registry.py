"""Every task that Collegium generates, by name. To add one, write its file and add a line here."""

from __future__ import annotations

from orchestrator.evaluation.tasks import (
    arithmetic,
    boolean_expressions,
    coin_flip,
    dates,
    last_letters,
    shuffled_objects,
    unit_conversion,
    word_sorting,
)
from orchestrator.evaluation.tasks.task import Task
from orchestrator.evaluation.tasks.worded import (
    alphabet,
    change,
    counting,
    durations,
    leftovers,
    measures,
    ranking,
    sharing,
    shopping,
    spelling,
    tracking,
    weekdays,
)

GENERATED: tuple[Task, ...] = (
    arithmetic.TASK,
    unit_conversion.TASK,
    dates.TASK,
    last_letters.TASK,
    word_sorting.TASK,
    boolean_expressions.TASK,
    shuffled_objects.TASK,
    coin_flip.TASK,
)
"""Splits by the hash of a question's text: test questions share their wordings with training questions."""

WORDED: tuple[Task, ...] = (
    shopping.TASK,
    leftovers.TASK,
    sharing.TASK,
    change.TASK,
    durations.TASK,
    weekdays.TASK,
    measures.TASK,
    ranking.TASK,
    spelling.TASK,
    alphabet.TASK,
    counting.TASK,
    tracking.TASK,
)
"""Each split has wordings, names and things of its own."""

TASKS: dict[str, Task] = {task.name: task for task in (*GENERATED, *WORDED)}

MIXED: dict[str, tuple[Task, ...]] = {"mixed": GENERATED, "mixed2": WORDED}
"""Names that stand for several tasks in equal shares."""
