"""Uploaded files: bounded, and their owner's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.service.keys import KeyFile
from tests.scripts.batch_files import CHAT, lines, row, run


async def test_files_and_batches_belong_to_their_key(settings: dict[str, Any], serving: Any) -> None:
    keys = KeyFile(Path(settings["state"]) / "keys.json")
    ann, bob = ({"Authorization": f"Bearer {keys.create(name)[0]}"} for name in ("ann", "bob"))
    async with serving(settings) as client:
        batch = await run(client, lines(row(1)), **ann)
        for path in (
            f"/v1/batches/{batch['id']}",
            f"/v1/files/{batch['input_file_id']}",
            f"/v1/files/{batch['input_file_id']}/content",
            f"/v1/files/{batch['output_file_id']}/content",
        ):
            assert (await client.get(path, headers=ann)).status_code == 200, path
            assert (await client.get(path, headers=bob)).status_code == 404, path
        assert (await client.post(f"/v1/batches/{batch['id']}/cancel", headers=bob)).status_code == 404
        assert (await client.delete(f"/v1/files/{batch['input_file_id']}", headers=bob)).status_code == 404
        stolen = {"input_file_id": batch["input_file_id"], "endpoint": CHAT}
        assert (await client.post("/v1/batches", json=stolen, headers=bob)).status_code == 404
        for path in ("/v1/files", "/v1/batches"):
            assert (await client.get(path, headers=bob)).json()["data"] == []


async def test_an_uploaded_file_is_bounded(settings: dict[str, Any], serving: Any) -> None:
    settings["service"] |= {"file_mib": 0.05, "body_mib": 0.01}
    async with serving(settings) as client:
        small = await client.post("/v1/files", files={"file": b"x" * 20_000})
        assert small.status_code == 200
        assert (await client.post("/v1/files", files={"file": b"x" * 60_000})).status_code == 413
