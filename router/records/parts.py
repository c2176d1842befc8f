"""What a path holds: one file, or a folder of files whose names say their splits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from router.records import columnar, json_records, separated
from router.records.files import COMPRESSED, RecordError, bare_name, reading

LINES = (".jsonl", ".ndjson", ".jsonlines")
SUFFIXES = (*LINES, ".json", ".csv", ".tsv", ".parquet", ".arrow")
"""What is read, each but the last two also with .gz, .zst or .bz2."""
MAX_FILES = 10_000
_SPLIT = re.compile(r"(?:^|[^a-z])(train|training|validation|valid|val|dev|test|testing)(?=$|[^a-z])", re.IGNORECASE)
_REFUSED = {
    ".pkl": "a pickle can run a program: save it as Parquet (pandas.read_pickle(FILE).to_parquet(...))",
    ".pickle": "a pickle can run a program: save it as Parquet (pandas.read_pickle(FILE).to_parquet(...))",
    ".pt": "a pickle can run a program: save the rows as Parquet or JSON Lines",
    ".xlsx": "spreadsheets are not read: save the sheet as CSV",
    ".xls": "spreadsheets are not read: save the sheet as CSV",
    ".zip": "archives are not read: unpack it",
    ".tar": "archives are not read: unpack it",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One file of records."""

    path: Path
    split: str | None = None
    """What the file's or folder's name says of its split, if it says anything."""

    def records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """(line or row from 1, the record), one at a time. Raises RecordError."""
        name = bare_name(self.path).lower()
        if name.endswith(".parquet"):
            yield from columnar.parquet(self.path)
        elif name.endswith(".arrow"):
            yield from columnar.arrow(self.path)
        else:
            with reading(self.path) as file:
                if name.endswith(".csv"):
                    yield from separated.records(file, self.path, ",")
                elif name.endswith(".tsv"):
                    yield from separated.records(file, self.path, "\t")
                else:
                    yield from json_records.records(file, self.path, name.endswith(LINES))

    def place(self, number: int) -> str:
        """How an error names a record: `file:line`, or the row where rows have no lines."""
        name = bare_name(self.path).lower()
        lined = name.endswith((*LINES, ".csv", ".tsv"))
        return f"{self.path}:{number}" if lined else f"{self.path}: row {number}"


def parts(path: Path) -> list[Part]:
    """The files of a path. Raises RecordError for one that is not there, or whose kind is not read."""
    if path.is_dir():
        return _folder(path)
    _check(path)
    return [Part(path)]


def _check(path: Path) -> None:
    if not path.is_file():
        raise RecordError(f"{path}: cannot be read: No such file or directory")
    name = bare_name(path).lower()
    suffix = Path(name).suffix
    if suffix in _REFUSED:
        raise RecordError(f"{path}: {_REFUSED[suffix]}")
    if name.endswith((".parquet", ".arrow")):
        if path.suffix.lower() in COMPRESSED:
            raise RecordError(f"{path}: unpack it first: Parquet and Arrow are compressed inside")
        return
    if not name.endswith(SUFFIXES):
        with reading(path) as file:
            head = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
        if not head.startswith((b"{", b"[")):
            raise RecordError(f"{path}: this kind of file is not read; there are {', '.join(SUFFIXES)} (and .gz, .zst)")


def _folder(folder: Path) -> list[Part]:
    if (folder / "dataset_dict.json").is_file():
        names = [str(name) for name in _json(folder / "dataset_dict.json").get("splits", [])]
        return [part for name in names for part in _saved(folder / name, name)]
    if (folder / "state.json").is_file():
        return _saved(folder, None)
    found = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if any(piece.startswith((".", "_")) for piece in inside.parts) or not path.is_file():
            continue
        if bare_name(path).lower().endswith(SUFFIXES) and path.name not in ("dataset_info.json", "dataset_infos.json"):
            found.append(Part(path, split_in(inside)))
        if len(found) > MAX_FILES:
            raise RecordError(f"{folder}: more than {MAX_FILES:,} files of records")
    if not found:
        raise RecordError(f"{folder}: no file of records in it; {', '.join(SUFFIXES)} are read")
    return found


def split_in(name: Path) -> str | None:
    """The split that a file's name speaks of: `data/test-00000-of-00001.parquet` is `test`."""
    found = _SPLIT.findall(bare_name(name)) or _SPLIT.findall(str(name.parent))
    return found[-1].lower() if found else None


def _saved(folder: Path, split: str | None) -> list[Part]:
    """The files of one `Dataset.save_to_disk`."""
    state = _json(folder / "state.json")
    if state.get("_indices_data_files"):
        raise RecordError(f"{folder}: a dataset with an index of chosen rows: save it after flatten_indices()")
    try:
        names = [str(one["filename"]) for one in state["_data_files"]]
    except (KeyError, TypeError):
        raise RecordError(f"{folder / 'state.json'}: does not name its data files") from None
    for name in names:
        if Path(name).name != name:
            raise RecordError(f"{folder / 'state.json'}: the data file {name!r} lies outside the folder")
    named = state.get("_split")
    return [Part(folder / name, split or (str(named) if named else None)) for name in names]


def _json(path: Path) -> dict[str, Any]:
    with reading(path) as file:
        body = json_records.parsed(file.read(2**20).decode(errors="replace"), str(path))
    if not isinstance(body, dict):
        raise RecordError(f"{path}: must be an object")
    return body
