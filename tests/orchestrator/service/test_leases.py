"""Several services on one database: each job and each batch is one service's at a time."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from orchestrator.database import Database
from orchestrator.service import leases
from orchestrator.service.job_store import JobStore


def test_no_job_is_taken_twice(database_url: str | None, tmp_path: Path) -> None:
    stores = [JobStore(Database(database_url, tmp_path / "jobs.sqlite"), f"service {n}") for n in range(4)]
    wanted = {stores[0].add("ann", "run", {}, None)[0].id for _ in range(40)}
    taken: list[str] = []

    def work(store: JobStore) -> None:
        while job := store.take():
            taken.append(job.id)

    threads = [threading.Thread(target=work, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(taken), set(taken)) == (40, wanted)
    for store in stores:
        store.close()


def test_a_job_whose_service_died_is_taken_over_and_the_dead_one_changes_nothing(
    database_url: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (JobStore(Database(database_url, tmp_path / "jobs.sqlite"), name) for name in ("a", "b"))
    id = first.add("ann", "run", {}, None)[0].id
    assert first.take()
    assert second.take() is None
    assert first.leases.renew() == {id}
    monkeypatch.setattr(leases, "SECONDS", -1.0)  # the lease has ended
    first.leases.renew()
    monkeypatch.setattr(leases, "SECONDS", 30.0)
    assert second.take()
    assert first.leases.renew() == set()
    assert not first.end(id, "succeeded")
    first.progress(id, 9)
    first.leases.release()
    job = second.get(id)
    assert job
    assert (job.status, job.starts, job.replies) == ("running", 2, 0)
    second.leases.release()
    assert first.take(), "a service that ends lets go at once"
    first.close()
    second.close()


async def test_two_services_share_jobs_and_batches(
    postgresql_server: Any, settings: dict[str, Any], serving: Any, tmp_path: Path
) -> None:
    settings["database"] = postgresql_server("pair")
    other = {**settings, "state": str(tmp_path / "state2")}
    async with serving(settings) as one, serving(other) as two:
        request = {"task": "coin_flip", "questions": 2, "methods": ["vote"]}
        ids = []
        for number in range(6):
            body = {"pipeline": "run", "request": {**request, "seed": number}}
            ids.append((await (one, two)[number % 2].post("/v1/jobs", json=body)).json()["id"])
        row = {"method": "POST", "url": "/v1/chat/completions"}
        asked = {"model": "words", "messages": [{"role": "user", "content": "Which word?"}]}
        import json

        raw = b"".join(json.dumps({**row, "custom_id": f"r{n}", "body": asked}).encode() + b"\n" for n in range(5))
        batches = []
        for _ in range(4):
            sent = (await one.post("/v1/files", files={"file": ("b.jsonl", raw)}, data={"purpose": "batch"})).json()
            body = {"input_file_id": sent["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
            batches.append((await one.post("/v1/batches", json=body)).json()["id"])
        for _ in range(1000):
            jobs = (await one.get("/v1/jobs")).json()["data"]
            found = [(await two.get(f"/v1/batches/{id}")).json() for id in batches]
            if {job["status"] for job in jobs} == {"succeeded"} and {b["status"] for b in found} == {"completed"}:
                break
            await asyncio.sleep(0.05)
        assert {job["id"] for job in jobs} == set(ids)
        for id in ids:
            logs = [line["text"] for line in (await two.get(f"/v1/jobs/{id}/logs")).json()["data"]]
            assert sum(text.startswith("started") for text in logs) == 1, logs
            assert logs[-1] == "finished"
        assert [batch["request_counts"]["completed"] for batch in found] == [5] * 4
        assert (await two.get("/v1/jobs")).json()["data"] == jobs
