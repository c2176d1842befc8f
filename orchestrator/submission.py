"""A `collegium` command as a Ray job: submitted, followed, and its run folders brought home.

The job's name is the hash of the command and of the files it names. So the same submission finds the job that runs
already; and one whose job has ended starts another that resumes (the same state folder, the same run folders).
Everything goes through the job server's one port: run folders come back as the log of a second, tiny job.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from orchestrator.errors import BadInput, CollegiumError, StorageError
from orchestrator.submission_files import files_named, paths_here, state_there

RUNS = "~/.local/state/collegium/submitted"
"""Where the Ray cluster keeps the run folders of submitted jobs, a folder a job."""
BEGIN, END = "-----BEGIN RUN FOLDERS-----", "-----END RUN FOLDERS-----"
MAX_BYTES = 256 * 2**20
GOING_ON = ("PENDING", "RUNNING")
POLL = 0.5
BUSY = "No available agent"
"""What a job server says whose Ray cluster has only just started,"""
PATIENCE = 60.0
"""and for how many seconds it is asked again."""


class Submission:
    """One command on one Ray cluster."""

    def __init__(self, client: Any, words: Sequence[str], *, python: str, environment: dict[str, str]) -> None:
        """`client`: Ray's `JobSubmissionClient`; `python`: the interpreter there that has Collegium installed."""
        if not words:
            raise BadInput("nothing to submit: write `collegium submit --address URL -- run --task ...`")
        self._client = client
        self._words = list(words)
        self._python = python
        self._environment = environment
        self._staged = files_named(words)
        self.state = state_there(words)
        """Folder of the ledger there, where the configuration's own place would not last."""
        content = [self._words, [hashlib.sha256(path.read_bytes()).hexdigest() for path in self._staged]]
        self.name = f"collegium-{hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]}"
        self.id = self.name

    @property
    def runs(self) -> str:
        """The folder, there, of this submission's run folders."""
        return f"{RUNS}/{self.name}"

    def start(self, staging: Path) -> bool:
        """Submit, or find the job that is running already; whether it is new. Raises `CollegiumError` if the job
        server refuses it."""
        earlier = {job.submission_id: str(job.status.value) for job in self._client.list_jobs() if job.submission_id}
        mine = re.compile(rf"{self.name}(?:-(\d+))?")  # and no job that fetches
        numbers = {int(found.group(1) or 1): id for id in earlier if (found := mine.fullmatch(id))}
        for id in numbers.values():
            if earlier[id] in GOING_ON:
                self.id = id
                return False
        self.id = f"{self.name}-{max(numbers) + 1}" if numbers else self.name
        words = self._words
        if not any("runs=" in word for word in words):
            words = [*words, "--set", f"runs={self.runs}"]
        if self.state is not None:
            words = [*words, "--set", f"state={self.state}"]
        for path in self._staged:
            target = staging / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        self._submit(
            entrypoint=shlex.join([self._python, "-m", "orchestrator", *words]),
            submission_id=self.id,
            runtime_env={"working_dir": str(staging), "env_vars": self._environment},
            metadata={"collegium": self.name},
        )
        return True

    async def follow(self, display: Callable[[str], None], runs: Path = Path("runs")) -> str:
        """Pass on its log until it ends, with the paths that its run folders will have below `runs` here; its last
        status. Reconnects where the connection breaks."""
        display, ended = paths_here(display, self.name, runs)
        position = 0
        while True:
            try:
                seen = 0
                async for text in self._client.tail_job_logs(self.id):
                    seen += len(text)
                    if seen > position:
                        display(text[-(seen - position) :])
                        position = seen
            except (OSError, RuntimeError):
                await asyncio.sleep(POLL)
            status = str(self._client.get_job_status(self.id).value)
            if status not in GOING_ON:
                ended()
                return status
            await asyncio.sleep(POLL)

    def stop(self) -> None:
        """Stop the job."""
        self._client.stop_job(self.id)

    def _submit(self, **job: Any) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self._client.submit_job(**job)
                return
            except RuntimeError as error:
                if BUSY not in str(error) or time.monotonic() > end:
                    raise CollegiumError(f"{self.id}: the job server refused it: {str(error)[:500]}") from error
            time.sleep(POLL)

    def fetch(self, folder: Path) -> list[str]:
        """Bring the run folders here; their names. Raises `CollegiumError` if that fails."""
        fetcher = f"{self.id}-fetch-{time.time_ns():x}"
        self._submit(
            entrypoint=shlex.join([self._python, "-m", "orchestrator.submission", self.runs]), submission_id=fetcher
        )
        while str(self._client.get_job_status(fetcher).value) in GOING_ON:
            time.sleep(POLL)
        log = self._client.get_job_logs(fetcher)
        self._client.delete_job(fetcher)
        head, begin, rest = log.partition(BEGIN)
        if not begin or END not in rest:
            raise CollegiumError(f"the run folders did not come back; the fetching job said: {head[-500:]}")
        return _unpack(base64.b64decode(rest.partition(END)[0]), folder)


def _unpack(archive: bytes, folder: Path) -> list[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            if sum(member.size for member in tar.getmembers()) > MAX_BYTES:
                raise StorageError(f"the run folders are larger than {MAX_BYTES} bytes: fetch them by other means")
            tar.extractall(folder, filter="data")
            return sorted({member.name.split("/")[0] for member in tar.getmembers() if member.isfile()})
    except (OSError, tarfile.TarError) as error:
        raise StorageError(f"{folder}: {error}") from error


def print_folders(root: Path) -> None:
    """Write all run folders below `root`, packed, to standard output."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for path in sorted(root.iterdir()) if root.is_dir() else []:
            tar.add(path, arcname=path.name)
    print(BEGIN)
    text = base64.b64encode(packed.getvalue()).decode()
    for start in range(0, len(text), 4096):
        print(text[start : start + 4096])
    print(END)


if __name__ == "__main__":
    print_folders(Path(os.path.expanduser(sys.argv[1])))
