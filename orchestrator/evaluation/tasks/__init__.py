"""Questions with gold answers: tasks generated here without end, and readers for what people have.

Each generated task is one small file that ends in a line `TASK = Task(...)`; `registry` lists them. A `Source` is a
file, a folder, a dataset or a harness task; `layout` decides how its records are read, `splits` which belong to a
split. `load` is the one entry to all of them.
"""

from orchestrator.evaluation.tasks.columns import Columns, parse_columns
from orchestrator.evaluation.tasks.load import load, names, source_of, sources_in

__all__ = ["Columns", "load", "names", "parse_columns", "source_of", "sources_in"]
