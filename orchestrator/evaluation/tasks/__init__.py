"""Questions with gold answers: tasks generated here without end, and loaders for files and datasets.

Each generated task is one small file that ends in a line `TASK = Task(...)`; `registry` lists them. `load` is the
one door to all of them.
"""

from orchestrator.evaluation.tasks.load import load, names

__all__ = ["load", "names"]
