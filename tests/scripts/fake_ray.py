"""A job server whose jobs end when told to; fetching jobs really run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from orchestrator.submission import Submission


class Status(Enum):
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"


@dataclass
class Job:
    submission_id: str
    entrypoint: str
    status: Status
    files: dict[str, str]
    log: str = ""


@dataclass
class FakeRay:
    """A job server whose jobs end when told to; fetching jobs really run."""

    jobs: dict[str, Job] = field(default_factory=dict)

    def list_jobs(self) -> list[Job]:
        return list(self.jobs.values())

    def submit_job(self, *, entrypoint: str, submission_id: str, runtime_env: Any = None, metadata: Any = None) -> None:
        assert submission_id not in self.jobs
        staging = Path((runtime_env or {}).get("working_dir", "/nowhere"))
        files = {str(path.relative_to(staging)): path.read_text() for path in staging.rglob("*") if path.is_file()}
        job = self.jobs[submission_id] = Job(submission_id, entrypoint, Status.RUNNING, files)
        if "orchestrator.submission" in entrypoint:
            done = subprocess.run(entrypoint, shell=True, capture_output=True, text=True, check=True)
            job.status, job.log = Status.SUCCEEDED, done.stdout

    def get_job_status(self, id: str) -> Status:
        return self.jobs[id].status

    def get_job_logs(self, id: str) -> str:
        return self.jobs[id].log

    def delete_job(self, id: str) -> None:
        del self.jobs[id]

    async def tail_job_logs(self, id: str) -> AsyncIterator[str]:
        for line in ("one\n", "two\n"):
            yield line
        self.jobs[id].status = Status.SUCCEEDED


def submission(ray: FakeRay, *words: str) -> Submission:
    words = words or ("run", "--task", "mixed", "--config", "mine.yaml")
    return Submission(ray, words, python=sys.executable, environment={})
