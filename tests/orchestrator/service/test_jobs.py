"""Jobs: submitted, followed, cancelled, fetched; and gone on with after the service was killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import yaml

from orchestrator.database import Database
from orchestrator.errors import BadInput
from orchestrator.inference.expert import Expert, RemoteModel, Weights
from orchestrator.service.job_store import JobStore
from orchestrator.service.jobs import _refuse_second_engine
from orchestrator.service.keys import KeyFile
from tests.scripts.profile_job import PROFILE, bearer, over


async def test_an_idempotency_key_belongs_to_one_request_of_one_owner(settings: dict[str, Any], serving: Any) -> None:
    file = KeyFile(Path(settings["state"]) / "keys.json")
    ann, bob = (bearer(file.create(name)[0]) for name in ("ann", "bob"))
    async with serving(settings) as client:

        async def submit(who: dict[str, str], **request: Any) -> httpx.Response:
            body = {"pipeline": "profile", "request": {**PROFILE["request"], **request}}  # type: ignore[dict-item]
            return await client.post("/v1/jobs", json=body, headers={**who, "Idempotency-Key": "k"})

        first = await submit(ann)
        assert first.status_code == 201
        assert (await submit(ann, temperature=0.0)).json()["id"] == first.json()["id"], "the default written out"
        other = await submit(ann, questions=5)
        assert other.status_code == 409
        assert other.json()["error"]["code"] == "idempotency"
        assert first.json()["id"] in other.json()["error"]["message"]
        foreign = await submit(bob)
        assert foreign.status_code == 201
        assert foreign.json()["id"] != first.json()["id"]
        assert (await client.get(f"/v1/jobs/{first.json()['id']}", headers=bob)).status_code == 404


async def test_a_job_that_fails_says_how_far_it_came(client: httpx.AsyncClient) -> None:
    made = await client.post("/v1/jobs", json={**PROFILE, "budget": {"tokens": 400}})
    job = await over(client, made.json()["id"])
    assert job["status"] == "failed"
    assert 2 <= job["progress"]["replies"] < 8
    assert "of 400 tokens are spent" in job["error"]


async def test_a_job_runs_and_leaves_its_results(client: httpx.AsyncClient) -> None:
    made = await client.post("/v1/jobs", json=PROFILE, headers={"Idempotency-Key": "k"})
    assert made.status_code == 201
    again = await client.post("/v1/jobs", json=PROFILE, headers={"Idempotency-Key": "k"})
    assert (again.status_code, again.json()["id"]) == (200, made.json()["id"])
    job = await over(client, made.json()["id"])
    assert (job["status"], job["progress"]["replies"], job["error"]) == ("succeeded", 8, None)
    path = f"/v1/jobs/{job['id']}"
    assert (await client.get(f"{path}/result")).json()["experts"] == ["words", "coins"]
    names = {file["name"] for file in (await client.get(f"{path}/files")).json()["data"]}
    assert "table.jsonl" in names
    table = (await client.get(f"{path}/files/table.jsonl")).text
    assert len(table.splitlines()) == 4
    lines = (await client.get(f"{path}/logs")).json()["data"]
    assert [line["text"] for line in lines][-1] == "finished"
    told = (await client.get(f"{path}/events")).text
    assert told.count("event: log") == len(lines)
    assert "event: end" in told
    # The profile is what mixture now routes by.
    asked = {"model": "mixture", "messages": [{"role": "user", "content": "1 + 1?"}]}
    for _ in range(600):  # it is fitted in the background
        answer = await client.post("/v1/chat/completions", json=asked)
        if answer.status_code != 409:
            break
        await asyncio.sleep(0.1)
    assert answer.status_code == 200, answer.text


async def test_an_answer_job_has_a_report(client: httpx.AsyncClient) -> None:
    request = {"task": "coin_flip", "methods": ["vote"], "questions": 2}
    made = await client.post("/v1/jobs", json={"pipeline": "answer", "request": request})
    job = await over(client, made.json()["id"])
    assert job["status"] == "succeeded", job
    assert (await client.get(f"/v1/jobs/{job['id']}/result")).json()["methods"][0]["method"] == "vote"
    page = await client.get(f"/v1/jobs/{job['id']}/files/report.html")
    assert "<html" in page.text


async def test_jobs_belong_to_their_key(
    settings: dict[str, Any], serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLLEGIUM_API_KEYS", "the-key-of-somebody,the-key-of-another")
    async with serving(settings) as client:
        one, other = ({"Authorization": f"Bearer the-key-of-{name}"} for name in ("somebody", "another"))
        id = (await client.post("/v1/jobs", json=PROFILE, headers=one)).json()["id"]
        assert (await client.get(f"/v1/jobs/{id}", headers=one)).status_code == 200
        assert (await client.get(f"/v1/jobs/{id}", headers=other)).status_code == 404
        assert (await client.get("/v1/jobs", headers=other)).json()["data"] == []


def test_a_killed_service_goes_on_with_its_jobs(settings: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import os, time\n"
        "def until_killed(messages, seed):\n"
        "    time.sleep(0 if os.path.exists('killed') else 0.5)\n"
        "    return 'Answer: a'\n"
    )
    settings["experts"] = {"slow": {"script": "slow:until_killed"}}
    settings["workers"]["batch"] = 2  # a script is run when its request begins
    (tmp_path / "collegium.yaml").write_text(yaml.safe_dump(settings))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [
        sys.executable,
        "-m",
        "orchestrator",
        "serve",
        "--port",
        "0",
        "--config",
        str(tmp_path / "collegium.yaml"),
    ]
    jobs = tmp_path / "state" / "jobs.sqlite"

    def started() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, env=environment, cwd=tmp_path)

    def until(wanted: str) -> int:
        store = JobStore(Database(None, jobs))
        try:
            end = time.monotonic() + 60
            while time.monotonic() < end:
                job = store.get(id)
                if job and (job.status == wanted or (wanted == "busy" and job.replies >= 5)):
                    return job.starts
                time.sleep(0.05)
            raise AssertionError(job)
        finally:
            store.close()

    store = JobStore(Database(None, jobs))
    request = {"task": "arithmetic", "questions": 60, "split": "validation"}
    id = store.add("anyone", "profile", request, None)[0].id
    store.close()
    server = started()
    try:
        until("busy")
        server.kill()
        server.wait()
        (tmp_path / "killed").touch()
        server = started()
        assert until("succeeded") == 2
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) in (0, -signal.SIGTERM)
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(tmp_path / "state" / "ledger.sqlite")) as ledger:
        assert ledger.execute("SELECT count(*) FROM completions").fetchone() == (60,)
        assert ledger.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_check_that_would_load_a_second_engine_is_refused() -> None:
    experts = {
        "local": Expert("local", "l", "s", weights=Weights(Path("llama"))),
        "scripted": Expert("scripted", "s", "s", script="m:f"),
        "remote": Expert("remote", "r", "s", remote=RemoteModel("http://127.0.0.1:9/v1", "m")),
    }
    zoo: Any = SimpleNamespace(experts=experts)
    for asked in ([], ["remote", "local"]):
        with pytest.raises(BadInput, match=r"'local' would be loaded a second time.*collegium experts check"):
            _refuse_second_engine(asked, zoo)
    _refuse_second_engine(["scripted", "remote"], zoo)
