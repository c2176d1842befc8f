"""Every error that distillation raises on purpose.

DistillError(ValueError)    what was wrong, where (file, question id, setting), and what to do
├── LessonError             a file of lessons that cannot be read
└── TrainingError           a training that cannot start or go on
    └── NotFinite           the loss is not a number: names the step and its questions
"""

from __future__ import annotations


class DistillError(ValueError):
    """Any error that distillation raises on purpose."""


class LessonError(DistillError):
    """A file of lessons that cannot be read."""


class TrainingError(DistillError):
    """A training that cannot start or go on."""


class NotFinite(TrainingError):
    """The loss or the gradient is not a finite number."""
