"""`collegium submit`: follows the job and brings its folders home."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from orchestrator.cli import group
from orchestrator.errors import BadInput
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


@pytest.fixture
def ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.yaml").write_text("zoo: demo\n")
    (tmp_path / "staging").mkdir()
    return FakeRay()


def submission(ray: FakeRay, *words: str) -> Submission:
    words = words or ("run", "--task", "mixed", "--config", "mine.yaml")
    return Submission(ray, words, python=sys.executable, environment={})


def test_the_command_follows_the_job_and_brings_its_folders_home(
    ray: FakeRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.cli.submit._client", lambda address: ray)
    words = ["run", "--task", "mixed", "--config", "mine.yaml"]
    there = Path(os.path.expanduser(submission(ray, *words).runs)) / "run-1"
    there.mkdir(parents=True)
    (there / "results.json").write_text("{}")
    result = CliRunner().invoke(group, ["submit", "--address", "http://x:1", "--env", "A=b", "--", *words])
    assert result.exit_code == 0, (result.output, result.exception)
    assert "one\ntwo\n" in result.output
    assert (tmp_path / "runs/run-1/results.json").exists()
    with pytest.raises(BadInput, match="NAME=VALUE"):
        raise CliRunner().invoke(group, ["submit", "--address", "x", "--env", "A", "--", "run"]).exception  # type: ignore[misc]
