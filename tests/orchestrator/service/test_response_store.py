"""Stored responses belong to their key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.service.keys import KeyFile


async def test_responses_belong_to_their_key(settings: dict[str, Any], serving: Any) -> None:
    file = KeyFile(Path(settings["state"]) / "keys.json")
    ann, bob = ({"Authorization": f"Bearer {file.create(name)[0]}"} for name in ("ann", "bob"))
    async with serving(settings) as client:
        made = await client.post("/v1/responses", json={"model": "words", "input": "Which word?"}, headers=ann)
        id = made.json()["id"]
        assert (await client.get(f"/v1/responses/{id}", headers=ann)).status_code == 200
        assert (await client.get(f"/v1/responses/{id}", headers=bob)).status_code == 404
        assert (await client.delete(f"/v1/responses/{id}", headers=bob)).status_code == 404
        stolen = {"model": "words", "input": "history", "previous_response_id": id}
        assert (await client.post("/v1/responses", json=stolen, headers=bob)).status_code == 404


async def test_items_of_kept_responses_are_referred_to_by_their_key_alone(
    settings: dict[str, Any], serving: Any
) -> None:
    file = KeyFile(Path(settings["state"]) / "keys.json")
    ann, bob = ({"Authorization": f"Bearer {file.create(name)[0]}"} for name in ("ann", "bob"))
    async with serving(settings) as client:
        made = await client.post("/v1/responses", json={"model": "words", "input": "Which word?"}, headers=ann)
        (item,) = made.json()["output"]
        turns = [{"role": "user", "content": "Which word?"}, {"type": "item_reference", "id": item["id"]}]
        again = {"model": "words", "input": [*turns, {"role": "user", "content": "history"}]}
        answer = await client.post("/v1/responses", json=again, headers=ann)
        assert answer.status_code == 200, answer.text
        said = item["content"][0]["text"]
        told = answer.json()["output"][0]["content"][0]["text"]
        assert told == f"user:Which word? | assistant:{said} | user:history"
        stolen = await client.post("/v1/responses", json=again, headers=bob)
        assert (stolen.status_code, stolen.json()["error"]["param"]) == (400, "input.1.id")
        await client.delete(f"/v1/responses/{made.json()['id']}", headers=ann)
        assert (await client.post("/v1/responses", json=again, headers=ann)).status_code == 400
