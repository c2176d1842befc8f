"""Two keys, seeded: no route of the description shows one what the other has, or changes it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.service.keys import KeyFile

ROW = (
    '{"custom_id": "%s", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "words", "messages": []}}\n'
)
PROFILE = {"pipeline": "profile", "request": {"task": "arithmetic", "questions": 2}}


async def make(client: httpx.AsyncClient, headers: dict[str, str], kind: str, mark: str) -> list[str]:
    """Ids of one new thing of a tenant; its content holds `mark`."""
    if kind == "responses":
        sent = await client.post("/v1/responses", json={"model": "words", "input": mark}, headers=headers)
    elif kind == "jobs":
        sent = await client.post("/v1/jobs", json=PROFILE, headers={**headers, "Idempotency-Key": "same"})
    else:
        parts: Any = {"file": (f"{mark}.jsonl", (ROW % mark).encode())}
        sent = await client.post("/v1/files", files=parts, data={"purpose": "batch"}, headers=headers)
        if kind == "batches":
            file = sent.json()["id"]
            body = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
            sent = await client.post("/v1/batches", json=body, headers=headers)
            id = sent.json()["id"]
            return [file, id, f"output-{id}", f"errors-{id}"]
    assert sent.status_code in (200, 201), sent.text
    return [sent.json()["id"]]


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_route_shows_one_tenant_what_another_has(settings: dict[str, Any], serving: Any, seed: int) -> None:
    rng = random.Random(seed)
    file = KeyFile(Path(settings["state"]) / "keys.json")
    keys = [file.create(name, ["chat", "jobs"])[0] for name in ("ann", "bob")]
    tenants = [{"Authorization": f"Bearer {key}"} for key in keys]
    owned: list[list[str]] = [[], []]
    marks = [f"mark{rng.getrandbits(64):x}" for _ in tenants]
    async with serving(settings) as client:
        kinds = ["responses", "jobs", "files", "batches"] * 2
        rng.shuffle(kinds)
        for kind in kinds:
            owner = rng.randrange(2)
            owned[owner] += await make(client, tenants[owner], kind, marks[owner])
        for owner in range(2):
            owned[owner] += await make(client, tenants[owner], "batches", marks[owner])
            owned[owner] += await make(client, tenants[owner], "jobs", marks[owner])
        paths = (await client.get("/openapi.json", headers=tenants[0])).json()["paths"]
        asked = 0
        for asker, secret in ((0, 1), (1, 0)):
            hidden = set(owned[secret])
            assert not hidden & set(owned[asker])
            before = await visible(client, tenants[secret])
            for path, operations in paths.items():
                for method in operations.keys() & {"get", "post", "delete"}:
                    if "{id}" in path:
                        for id in hidden:
                            place = path.replace("{id}", id).replace("{name}", "report.md")
                            answer = await client.request(method, place, headers=tenants[asker])
                            wanted = 403 if path.startswith("/v1/runs") else 404  # runs are an administrator's
                            assert answer.status_code == wanted, (method, place, answer.text)
                            assert marks[secret] not in answer.text
                            asked += 1
                    elif method == "get" and "{" not in path:
                        text = (await client.get(path, headers=tenants[asker])).text
                        assert not [id for id in (*hidden, marks[secret]) if id in text], path
                        asked += 1
            for id in hidden:
                body = {"model": "words", "input": "x", "previous_response_id": id}
                assert (await client.post("/v1/responses", json=body, headers=tenants[asker])).status_code == 404
                body = {"input_file_id": id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
                assert (await client.post("/v1/batches", json=body, headers=tenants[asker])).status_code == 404
                listed = await client.get("/v1/files", params={"after": id}, headers=tenants[asker])
                assert listed.status_code == 404
                # What was asked is told back, and nothing else.
                assert not [one for one in hidden if one not in id and one in listed.text]
            assert await visible(client, tenants[secret]) == before
        assert asked > 100


async def visible(client: httpx.AsyncClient, headers: dict[str, str]) -> list[list[str]]:
    """Ids that a tenant sees of its own, and its usage: nobody else changes them."""
    lists = [(await client.get(f"/v1/{kind}", headers=headers)).json()["data"] for kind in ("jobs", "files", "batches")]
    return [sorted(one["id"] for one in listed) for listed in lists]


async def test_usage_is_of_the_asking_key(settings: dict[str, Any], serving: Any) -> None:
    file = KeyFile(Path(settings["state"]) / "keys.json")
    ann, bob = ({"Authorization": f"Bearer {file.create(name, ['chat'])[0]}"} for name in ("ann", "bob"))
    async with serving(settings) as client:
        body = {"model": "words", "messages": [{"role": "user", "content": "Which word?"}]}
        assert (await client.post("/v1/chat/completions", json=body, headers=ann)).status_code == 200
        assert len((await client.get("/v1/usage", headers=ann)).json()["data"]) == 1
        assert (await client.get("/v1/usage", headers=bob)).json()["data"] == []
