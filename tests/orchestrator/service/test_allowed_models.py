"""Keys for some models only, and what is left of a key's requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import BadInput
from orchestrator.service.keys import KeyFile, new_key

ASKED = [{"role": "user", "content": "word?"}]


async def test_a_key_asks_its_models_and_no_other_by_any_route(settings: dict[str, Any], serving: Any) -> None:
    text, key = KeyFile(Path(settings["state"]) / "keys.json").create("some", ["chat"], models=["words", "vote"])
    assert key.models == ("words", "vote")
    headers = {"Authorization": f"Bearer {text}"}
    async with serving(settings, headers=headers) as client:
        listed = (await client.get("/v1/models")).json()["data"]
        assert {one["id"] for one in listed} == {"words", "vote"}
        assert (await client.get("/v1/models/words")).status_code == 200
        assert (await client.get("/v1/models/coins")).status_code == 403
        for path, body in (
            ("/v1/chat/completions", {"messages": ASKED}),
            ("/v1/chat/completions", {"messages": ASKED, "stream": True}),
            ("/v1/completions", {"prompt": "a word"}),
            ("/v1/responses", {"input": "a word"}),
            ("/v1/messages", {"messages": ASKED, "max_tokens": 9}),
        ):
            assert (await client.post(path, json={"model": "words", **body})).status_code == 200, path
            refused = await client.post(path, json={"model": "coins", **body})
            assert refused.status_code == 403, path
            assert "coins" in refused.json()["error"]["message"]
        for path, body in (
            ("/v1/embeddings", {"model": "embedder", "input": "a"}),
            ("/v1/tokenize", {"model": "coins", "prompt": "a"}),
            ("/v1/detokenize", {"model": "coins", "tokens": [1]}),
        ):
            assert (await client.post(path, json=body)).status_code == 403, path
        rows = [
            {"custom_id": model, "url": "/v1/completions", "body": {"model": model, "prompt": "a"}}
            for model in ("words", "coins")
        ]
        content = "\n".join(map(json.dumps, rows)).encode()
        file = (await client.post("/v1/files", files={"file": ("a", content)}, data={"purpose": "batch"})).json()
        batch = await client.post(
            "/v1/batches", json={"input_file_id": file["id"], "endpoint": "/v1/completions", "completion_window": "24h"}
        )
        assert batch.json()["status"] == "failed"
        assert "line 2: body.model" in batch.json()["errors"]["data"][0]["message"]


def test_a_key_for_some_models_submits_no_jobs() -> None:
    with pytest.raises(BadInput, match="jobs"):
        new_key("some", ["chat", "jobs"], models=["words"])
    for models in ([], [""], ["\n"]):
        with pytest.raises(BadInput, match="models"):
            new_key("some", ["chat"], models=models)


async def test_responses_say_what_is_left_of_a_keys_requests(settings: dict[str, Any], serving: Any) -> None:
    text, _ = KeyFile(Path(settings["state"]) / "keys.json").create("slow", ["chat"], requests_per_minute=2)
    free, _ = KeyFile(Path(settings["state"]) / "keys.json").create("free", ["chat"])
    async with serving(settings) as client:
        left = []
        for _ in range(3):
            answer = await client.get("/v1/models", headers={"Authorization": f"Bearer {text}"})
            assert answer.headers["x-ratelimit-limit-requests"] == "2"
            assert 0 < float(answer.headers["x-ratelimit-reset-requests"].removesuffix("s")) <= 60
            left.append((answer.status_code, answer.headers["x-ratelimit-remaining-requests"]))
        assert left == [(200, "1"), (200, "0"), (429, "0")]
        answer = await client.get("/v1/models", headers={"Authorization": f"Bearer {free}"})
        assert not [name for name in answer.headers if name.startswith("x-ratelimit")]
