"""Questions from Hugging Face datasets by name: `hf:openai/gsm8k`, `hf:cais/mmlu:college_physics`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import BadInput, SetupError
from orchestrator.evaluation.tasks.columns import Columns
from orchestrator.evaluation.tasks.presets import PRESETS, SHORT
from orchestrator.evaluation.tasks.source import QuestionSource

HUB = "hf:"


@dataclass(frozen=True)
class HubPart:
    """One split of a dataset."""

    name: str
    split: str
    rows: Any
    """A `datasets.Dataset`, whose rows lie in Arrow files."""

    def records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """(row from 0, as the hub counts, the record); class labels as their names."""
        named = {key: one.names for key, one in self.rows.features.items() if hasattr(one, "names")}
        for number, row in enumerate(self.rows):
            for key, names in named.items():
                if isinstance(row.get(key), int) and 0 <= row[key] < len(names):
                    row[key] = names[row[key]]
            yield number, row

    def place(self, number: int) -> str:
        """Where a record is, for an error."""
        return f"{HUB}{self.name}, split {self.split}, row {number}"


def source(name: str, columns: Columns) -> QuestionSource:
    """A dataset, `OWNER/NAME` or `OWNER/NAME:SUBSET`. What the preset and `columns` leave out is found by name.

    Raises:
        SetupError: the package `datasets` is not installed.
        BadInput: the dataset cannot be had, or has several subsets and none is named.
    """
    bare, _, subset = name.removeprefix(HUB).partition(":")
    full = SHORT.get(bare, bare)
    preset = PRESETS.get(full)
    if preset is not None:
        columns = preset.columns.model_copy(update=columns.model_dump(exclude_none=True))
        subset = subset or preset.subset or ""
    try:
        import datasets
    except ImportError as error:
        raise SetupError(f"{name}: Hugging Face datasets need one more package: pip install datasets") from error
    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_dataset(full, subset or None)
    except Exception as error:
        # The library raises its own, OSError, ValueError and network errors: to the user all are one.
        reason = " ".join(str(error).split())[:400]
        raise BadInput(f"dataset {name!r}: cannot be loaded: {reason}") from error
    splits = dict(loaded.items()) if isinstance(loaded, dict) else {"train": loaded}
    if preset is not None:
        splits = {split: rows for split, rows in splits.items() if split in preset.splits} or splits
    parts = [HubPart(full, str(split), rows) for split, rows in splits.items()]
    return QuestionSource(name, full.rpartition("/")[2], parts, columns)
