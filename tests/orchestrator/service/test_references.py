"""What a job may name: uploads, results of other jobs, and paths where that is allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from orchestrator.service.keys import KeyFile
from tests.scripts.profile_job import bearer, over


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
            (ann, "distill", {"transcripts": ["/etc/passwd"]}, "uploaded to /v1/files"),
            (ann, "distill", {"transcripts": [file, "/etc/passwd"]}, "uploaded to /v1/files"),
            (ann, "distill", {"transcripts": [file, profile["id"]]}, "left no transcripts.jsonl.gz"),
            (bob, "distill", {"transcripts": [file]}, f"there is no file {file}"),
        ):
            refused = await submit(who, pipeline, **request)
            assert (refused.status_code, named in refused.text) == (400, True), refused.text

        made = await submit(ann, "distill", transcripts=[file, file])
        assert made.status_code == 201, made.text
        ended = await over(client, made.json()["id"])
        assert "no such file" not in str(ended["error"]), "the uploads were read, as transcripts that they are not"


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
