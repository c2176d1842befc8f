"""What jobs name instead of files of the server's: an uploaded file's id, or an earlier job's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from orchestrator.errors import BadInput
from orchestrator.private_files import private_file
from orchestrator.service.file_store import FileStore
from orchestrator.service.job_store import JobStore

_ID = re.compile(r"(file|job)-[0-9a-f]{24}")
FIELDS = {"transcripts": "transcripts.jsonl.gz", "table": "table.jsonl", "task": None, "fit": "table.jsonl"}
"""Fields that may name one -> the file of an earlier job that is meant; None: only uploads."""


def is_reference(text: Any) -> bool:
    """Whether it has the form of an upload's or a job's id, or is a list of them."""
    if isinstance(text, (list, tuple)) and text:
        return all(isinstance(one, str) and is_reference(one) for one in text)
    return isinstance(text, str) and _ID.fullmatch(text) is not None


class References:
    """Blocks: use it from threads. Every method may raise `StorageError`."""

    def __init__(self, folder: Path, files: FileStore, jobs: JobStore) -> None:
        """`folder`: where uploads are written for pipelines to read."""
        self._folder = folder
        self._files = files
        self._jobs = jobs

    def resolved(self, owner: str, request: dict[str, Any]) -> dict[str, Any]:
        """The request with paths for references. Raises `BadInput` for one that this owner has not, or that has no
        such file."""
        found = {name: self._read(owner, name, value) for name, value in request.items() if name in FIELDS}
        return {**request, **found}

    def _read(self, owner: str, field: str, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [self._read(owner, field, one) for one in value]
        return self._path(owner, field, value) if is_reference(value) else value

    def _path(self, owner: str, field: str, text: str) -> str:
        where = f"request.{field}"
        if text.startswith("file-"):
            file, content = self._files.get(owner, text), self._files.content(owner, text)
            if file is None or content is None:
                raise BadInput(f"{where}: there is no file {text}; upload it to /v1/files")
            # Under its own name, as a file of questions without task names is called by it.
            safe = re.sub(r"[^\w.-]", "_", file.filename)[-100:].lstrip(".")
            path = self._folder / text / (safe or "file")
            if not path.exists():
                private_file(path).write_bytes(content)
            return str(path)
        job, name = self._jobs.get(text), FIELDS[field]
        if job is None or job.owner != owner:
            raise BadInput(f"{where}: there is no job {text}")
        if name is None:
            raise BadInput(f"{where}: a job cannot stand here; upload a file to /v1/files and give its id")
        if job.status != "succeeded" or not job.folder:
            raise BadInput(f"{where}: job {text} is {job.status}: it has no results")
        path = Path(job.folder) / name
        if not path.is_file():
            raise BadInput(f"{where}: job {text} left no {name}")
        return str(path)
