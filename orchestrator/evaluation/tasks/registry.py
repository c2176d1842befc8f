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
