"""Jobs over HTTP: refused, cancelled, listed, and their files."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.scripts.profile_job import PROFILE, over


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


async def test_files_are_only_those_that_are_listed(client: httpx.AsyncClient) -> None:
    made = await client.post("/v1/jobs", json=PROFILE)
    job = await over(client, made.json()["id"])
    for name in ("..%2f..%2fcollegium.yaml", "%2e%2e", ".lock", "nothing"):
        assert (await client.get(f"/v1/jobs/{job['id']}/files/{name}")).status_code == 404
    assert (await client.get(f"/v1/jobs/{job['id']}/files/table.jsonl%00")).status_code == 400


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
