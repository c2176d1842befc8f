"""What is on record of jobs, on both databases; older files are brought up to date."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from orchestrator.database import Database
from orchestrator.service.job_store import JobStore


def store(url: str | None, folder: Path, runner: str = "one") -> JobStore:
    return JobStore(Database(url, folder / "jobs.sqlite"), runner)


def test_a_job_is_kept_from_its_beginning_to_its_end(database_url: str | None, tmp_path: Path) -> None:
    jobs = store(database_url, tmp_path)
    first, new = jobs.add("ann", "profile", {"task": "a\x00b"}, "k")
    assert (new, first.status, jobs.add("ann", "profile", {}, "k")) == (True, "queued", (first, False))
    second, third = (jobs.add(owner, "run", {}, key)[0] for owner, key in (("bob", "k"), ("ann", None)))
    assert jobs.add("bob", "profile", {}, "k") == (second, False)  # each owner's own job, not another one's
    assert jobs.take() == jobs.get(first.id)
    jobs.place(first.id, "/runs/x")
    jobs.progress(first.id, 7)
    for text in ("one", "two\x00"):
        jobs.log(first.id, text)
    assert [(number, text) for number, _, text in jobs.lines(first.id)] == [(1, "one"), (2, "two\x00")]
    assert [number for number, _, _ in jobs.lines(first.id, after=1)] == [2]
    assert jobs.end(first.id, "failed", "why")
    assert not jobs.end(first.id, "succeeded")
    assert not jobs.cancel(first.id)
    found = jobs.get(first.id)
    assert found
    assert (found.status, found.error, found.folder, found.replies, found.starts, found.request) == (
        "failed", "why", "/runs/x", 7, 1, {"task": "a\x00b"})  # fmt: skip
    assert jobs.cancel(second.id)
    assert [job.id for job in jobs.page(None, 9, None)] == [third.id, second.id, first.id]
    assert [job.id for job in jobs.page("ann", 9, third.id)] == [first.id]
    assert [job.id for job in jobs.page("ann", 1, None)] == [third.id]
    jobs.check()
    jobs.close()


def test_a_file_of_the_first_version_goes_on(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as file:
        file.executescript("""
            CREATE TABLE jobs (
                id TEXT PRIMARY KEY, owner TEXT NOT NULL, pipeline TEXT NOT NULL, request TEXT NOT NULL,
                idempotency_key TEXT, status TEXT NOT NULL, created REAL NOT NULL, started REAL, ended REAL,
                replies INTEGER NOT NULL DEFAULT 0, starts INTEGER NOT NULL DEFAULT 0, error TEXT, folder TEXT,
                UNIQUE (owner, idempotency_key)
            );
            CREATE TABLE lines (
                job TEXT NOT NULL, number INTEGER NOT NULL, time REAL NOT NULL, text TEXT NOT NULL,
                PRIMARY KEY (job, number)
            ) WITHOUT ROWID;
            CREATE INDEX jobs_by_time ON jobs (created, id);
            INSERT INTO jobs VALUES ('job-1', 'ann', 'run', '{"a": 1}', NULL, 'running', 1.5, 2, NULL, 3, 1, NULL, 'f');
            INSERT INTO lines VALUES ('job-1', 1, 2.0, 'begun');
            PRAGMA user_version=1;
        """)
    jobs = store(None, tmp_path)
    job = jobs.take()
    assert job, "it was interrupted, and nobody holds it"
    assert (job.id, job.request, job.starts, job.started) == ("job-1", {"a": 1}, 2, 2.0)
    jobs.log("job-1", "going on")
    assert [text for _, _, text in jobs.lines("job-1")] == ["begun", "going on"]
    jobs.close()
