"""Every error that distillation raises on purpose.

DistillError(ValueError)    what was wrong, where (file, question id, setting), and what to do
├── GraphError              a file that is no interaction graph
├── LessonError             a file of lessons that cannot be read
└── TrainingError           a training that cannot start or go on
    └── NotFinite           the loss is not a number: names the step and its questions
"""

from __future__ import annotations


class DistillError(ValueError):
    pass


class GraphError(DistillError):
    pass


class LessonError(DistillError):
    pass


class TrainingError(DistillError):
    pass


class NotFinite(TrainingError):
    pass
