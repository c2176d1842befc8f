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
