"""Questions from Hugging Face datasets by name: `hf:openai/gsm8k`, `hf:cais/mmlu:college_physics`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import BadInput, SetupError
from orchestrator.evaluation.tasks.columns import Columns
from orchestrator.evaluation.tasks.presets import PRESETS, SHORT
from orchestrator.evaluation.tasks.source import QuestionSource

HUB = "hf:"
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})")


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
    if not bare.strip("/ "):
        raise BadInput(f"{name!r}: names no dataset: write it as {HUB}OWNER/NAME, such as {HUB}openai/gsm8k")
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
        loaded = _loaded(datasets, full, subset or None)
    except Exception as error:
        # The library raises its own, OSError, ValueError and network errors: to the user all are one.
        reason = " ".join(str(error).split())[:400]
        unreachable = isinstance(error, ConnectionError)
        hint = f"; fetch it where there is a network: hf download --repo-type dataset {full}" if unreachable else ""
        raise BadInput(f"dataset {name!r}: cannot be loaded: {reason}{hint}") from error
    splits = dict(loaded.items()) if isinstance(loaded, dict) else {"train": loaded}
    if preset is not None:
        splits = {split: rows for split, rows in splits.items() if split in preset.splits} or splits
    parts = [HubPart(full, str(split), rows) for split, rows in splits.items()]
    return QuestionSource(name, full.rpartition("/")[2], parts, columns)


def _loaded(datasets: Any, name: str, subset: str | None) -> Any:
    """The dataset from the hub or the library's own cache; where the hub cannot be reached, from the files that
    `hf download` has put into the hub's cache, which the library does not look into. Raises what the library raises,
    and ValueError for a dataset of which files are missing."""
    try:
        return datasets.load_dataset(name, subset)
    except ConnectionError as error:
        folder = _downloaded(name)
        if folder is None:
            raise error
    missing = missing_shards([path.name for path in folder.rglob("*") if path.is_file()])
    if missing:
        raise ValueError(f"{folder}: {missing} is missing: download all files")
    return datasets.load_dataset(str(folder), subset)


def _downloaded(name: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, repo_type="dataset", local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        return None


def missing_shards(names: Sequence[str]) -> str | None:
    """The first file that is not there of a series `NAME-00000-of-00002`; None where all are."""
    have = set(names)
    for name in names:
        match = _SHARD.search(name)
        if match is not None:
            for number in range(int(match.group(2))):
                other = f"{name[: match.start(1)]}{number:05d}{name[match.end(1) :]}"
                if other not in have:
                    return other
    return None
