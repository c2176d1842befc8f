"""Jobs: submitted, followed, cancelled, fetched; and gone on with after the service was killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from orchestrator.database import Database
from orchestrator.service.job_store import JobStore
from orchestrator.service.keys import KeyFile

PROFILE = {"pipeline": "profile", "request": {"task": "arithmetic", "questions": 4}}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def over(client: httpx.AsyncClient, id: str) -> dict[str, Any]:
    for _ in range(600):
        job: dict[str, Any] = (await client.get(f"/v1/jobs/{id}")).json()
        if job["status"] in ("succeeded", "failed", "cancelled"):
            return job
        await asyncio.sleep(0.02)
    raise AssertionError(job)


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


async def test_a_job_uses_uploads_and_what_earlier_jobs_left(settings: dict[str, Any], serving: Any) -> None:
    keys = KeyFile(Path(settings["state"]) / "keys.json")
    ann, bob = (bearer(keys.create(name)[0]) for name in ("ann", "bob"))
    rows = [{"id": f"q{n}", "question": f"Which word? {n}", "answer": "a", "kind": "text"} for n in range(12)]
    text = "\n".join(json.dumps({**row, "split": "validation"}) for row in rows)
    async with serving(settings) as client:

        async def submit(who: dict[str, str], pipeline: str, **request: Any) -> httpx.Response:
            return await client.post("/v1/jobs", json={"pipeline": pipeline, "request": request}, headers=who)

        sent = await client.post("/v1/files", files={"file": ("mine.jsonl", text)}, headers=ann)
        file = sent.json()["id"]
        profile = (await submit(ann, "profile", task=file, questions=12)).json()
        client.headers.update(ann)
        assert (await over(client, profile["id"]))["status"] == "succeeded"
        judged = (await submit(ann, "eval-router", table=profile["id"], routers=["best"])).json()
        found = await over(client, judged["id"])
        assert "there is no" not in str(found["error"])
        for who, pipeline, request, named in (
            (bob, "profile", {"task": file}, f"there is no file {file}"),
            (bob, "eval-router", {"table": profile["id"]}, f"there is no job {profile['id']}"),
            (ann, "profile", {"task": profile["id"]}, "a job cannot stand here"),
            (ann, "profile", {"task": "file-" + "0" * 24}, "there is no file"),
            (ann, "eval-router", {"table": "/etc/passwd"}, "uploaded to /v1/files"),
        ):
            refused = await submit(who, pipeline, **request)
            assert (refused.status_code, named in refused.text) == (400, True), refused.text


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
    assert (await client.post("/v1/chat/completions", json=asked)).status_code == 200


async def test_an_answer_job_has_a_report(client: httpx.AsyncClient) -> None:
    request = {"task": "coin_flip", "methods": ["vote"], "questions": 2}
    made = await client.post("/v1/jobs", json={"pipeline": "answer", "request": request})
    job = await over(client, made.json()["id"])
    assert job["status"] == "succeeded", job
    assert (await client.get(f"/v1/jobs/{job['id']}/result")).json()["methods"][0]["method"] == "vote"
    page = await client.get(f"/v1/jobs/{job['id']}/files/report.html")
    assert "<html" in page.text


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"pipeline": "nothing"}, "no pipeline"),
        ({"pipeline": "profile", "request": {"questions": 0}}, "questions"),
        ({"pipeline": "profile", "request": {"qestions": 1}}, "unknown key; did you mean 'questions'"),
        ({"pipeline": "profile", "request": {"task": "/etc/passwd"}}, "knows the tasks"),
        ({"pipeline": "profile", "request": {"task": "hf:some/data"}}, "knows the tasks"),
        ({"pipeline": "profile", "request": {"out": "x"}}, "does not let clients name files"),
        ({"pipeline": "answer", "request": {"split": "../../x"}}, "does not let clients name files"),
        ({"pipeline": "answer", "request": {"experts": ["http://evil/"]}}, "does not let clients name files"),
        ({"pipeline": "run", "request": {"router": "os:system"}}, "does not let clients name code"),
        ({"pipeline": "run", "request": {"methods": ["vote", "os:system"]}}, "does not let clients name code"),
        ({"pipeline": "profile", "request": {"task": "coin_flip,os:environ"}}, "does not let clients name code"),
        ({"pipeline": "merge", "request": {"recipe": {"merge_method": "os:fork"}, "out": "x"}}, "name code"),
    ],
)
async def test_bad_jobs_are_refused_before_anything_starts(
    client: httpx.AsyncClient, body: dict[str, Any], told: str
) -> None:
    response = await client.post("/v1/jobs", json=body)
    assert response.status_code == 400
    assert told in response.json()["error"]["message"]
    assert (await client.get("/v1/jobs")).json()["data"] == []


async def test_what_only_looks_odd_is_no_file(client: httpx.AsyncClient) -> None:
    request = {"task": "coin_flip", "questions": 2, "methods": ["vote"], "costs": "words=1,coins=0.2"}
    assert (await client.post("/v1/jobs", json={"pipeline": "run", "request": request})).status_code == 201
    question = {"question": "Is 1/2 of ~/x a number:yes or os:no?"}
    assert (await client.post("/v1/jobs", json={"pipeline": "route", "request": question})).status_code == 201


async def test_paths_are_allowed_where_the_configuration_says_so(
    settings: dict[str, Any], serving: Any, tmp_path: Path
) -> None:
    rows = [
        {"id": f"q{n}", "question": "Which word?", "answer": "a", "kind": "text", "split": "test"} for n in range(3)
    ]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings["service"]["paths"] = True
    async with serving(settings) as client:
        code = {"pipeline": "profile", "request": {"task": "os:environ"}}
        assert "name code" in (await client.post("/v1/jobs", json=code)).json()["error"]["message"]
        request = {"task": str(tmp_path / "q.jsonl"), "split": "test", "questions": 3}
        made = await client.post("/v1/jobs", json={"pipeline": "profile", "request": request})
        assert (await over(client, made.json()["id"]))["status"] == "succeeded"


async def test_files_are_only_those_that_are_listed(client: httpx.AsyncClient) -> None:
    made = await client.post("/v1/jobs", json=PROFILE)
    job = await over(client, made.json()["id"])
    for name in ("..%2f..%2fcollegium.yaml", "%2e%2e", ".lock", "nothing", "table.jsonl%00"):
        assert (await client.get(f"/v1/jobs/{job['id']}/files/{name}")).status_code == 404


async def test_jobs_are_cancelled_and_listed(settings: dict[str, Any], serving: Any) -> None:
    settings["experts"] = {"slow": {"script": "served:slow"}}
    async with serving(settings) as client:
        request = {"task": "arithmetic", "questions": 5000}
        ids = [
            (await client.post("/v1/jobs", json={"pipeline": "profile", "request": {**request, "seed": n}})).json()[
                "id"
            ]
            for n in range(3)
        ]
        for id in ids:
            assert (await client.post(f"/v1/jobs/{id}/cancel")).json()["status"] == "cancelled"
        assert (await client.get(f"/v1/jobs/{ids[0]}/result")).status_code == 409
        listed = (await client.get("/v1/jobs", params={"limit": 2})).json()
        assert ([job["id"] for job in listed["data"]], listed["has_more"]) == (ids[:0:-1], True)
        rest = (await client.get("/v1/jobs", params={"after": ids[1]})).json()
        assert [job["id"] for job in rest["data"]] == ids[:1]
        assert (await client.get("/v1/jobs/job-nothing")).status_code == 404


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
    settings["experts"] = {"slow": {"script": "served:slow"}}
    (tmp_path / "collegium.yaml").write_text(yaml.safe_dump(settings))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
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
