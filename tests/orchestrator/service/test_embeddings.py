"""Embeddings in OpenAI's form."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from orchestrator.service import embeddings
from orchestrator.service.keys import KeyFile
from orchestrator.service.schema import EmbeddingsBody
from orchestrator.service.thread_queue import ThreadQueue
from router.embedding import Embedder, EmbeddingError


async def test_texts_are_embedded_and_told_apart(client: httpx.AsyncClient) -> None:
    asked = {"model": "embedder", "input": ["a cat", "a kitten", "tax law"]}
    found = (await client.post("/v1/embeddings", json=asked)).json()
    cat, kitten, tax = (np.array(one["embedding"]) for one in found["data"])
    assert [one["index"] for one in found["data"]] == [0, 1, 2]
    assert np.linalg.norm(cat) > 0.999
    assert cat @ kitten > cat @ tax


def test_the_official_client_reads_them(url: str) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        found = client.embeddings.create(model="embedder", input="a cat")  # asks for base64
        plain = client.embeddings.create(model="embedder", input="a cat", encoding_format="float")
    np.testing.assert_allclose(found.data[0].embedding, plain.data[0].embedding, atol=1e-6)


async def test_what_cannot_be_embedded_is_refused_by_name(client: httpx.AsyncClient) -> None:
    wrong: list[tuple[dict[str, Any], int, str]] = [
        ({"model": "words"}, 404, "words"),
        ({"input": ""}, 400, "input"),
        ({"input": ["a", " "]}, 400, "text 1"),
        ({"input": [1, 2]}, 400, "check_embedding_ctx_length"),
        ({"input": [[1, 2], [3]]}, 400, "not ids of tokens"),
        ({"extra": 1}, 400, "extra"),
        ({"dimensions": 3}, 400, "dimensions"),
    ]
    for body, status, named in wrong:
        answer = await client.post("/v1/embeddings", json={"model": "embedder", "input": "a", **body})
        assert answer.status_code == status, body
        assert named in answer.json()["error"]["message"]


async def test_the_usage_counts_the_models_tokens(client: httpx.AsyncClient) -> None:
    asked = {"model": "embedder", "input": ["a cat", "antidisestablishmentarianism " * 400]}
    usage = (await client.post("/v1/embeddings", json=asked)).json()["usage"]
    assert usage["prompt_tokens"] == usage["total_tokens"] > 2 + 3 * 400, "more than words, and all of a long text"


async def test_fields_without_meaning_are_named_and_refused_where_the_service_is_strict(
    client: httpx.AsyncClient,
) -> None:
    asked = {"model": "embedder", "input": "a cat", "user": "ann", "input_type": "query", "metadata": None}
    answer = await client.post("/v1/embeddings", json=asked)
    assert (answer.status_code, answer.headers["x-collegium-ignored"]) == (200, "input_type, user")
    answer = await client.post("/v1/embeddings", json=asked, headers={"X-Collegium-Strict": "true"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input_type")


async def test_an_embedder_that_does_not_work_is_not_the_clients_fault(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise EmbeddingError("/secret/place: not a usable cache")

    monkeypatch.setattr(Embedder, "embed", broken)
    answer = await client.post("/v1/embeddings", json={"model": "embedder", "input": "a cat"})
    assert answer.status_code == 503
    assert "/secret" not in answer.text


async def test_texts_of_a_client_that_has_gone_are_not_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    embedded: list[int] = []

    def slowly(self: Embedder, texts: list[str]) -> Any:
        time.sleep(0.05)
        embedded.append(len(texts))
        return np.zeros((len(texts), 2), np.float32)

    monkeypatch.setattr(Embedder, "embed", slowly)
    monkeypatch.setattr(Embedder, "count_tokens", lambda self, texts: len(texts))
    body = EmbeddingsBody.model_validate({"model": "embedder", "input": [str(n) for n in range(800)]})
    accounts = SimpleNamespace(current=lambda: None)
    zoo: Any = SimpleNamespace(collegium=SimpleNamespace(embedder=Embedder()), accounts=accounts)
    asking = asyncio.create_task(embeddings.embedded(zoo, body, ThreadQueue()))
    while not embedded:
        await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    done = len(embedded)
    await asyncio.sleep(0.3)
    assert len(embedded) <= done + 1, "at most the chunk that was under way"


async def test_texts_count_in_the_budget_of_their_key(settings: dict[str, Any], serving: Any) -> None:
    keys = KeyFile(Path(settings["state"]) / "keys.json")
    headers = {"Authorization": f"Bearer {keys.create('few', tokens_per_month=40)[0]}"}
    asked = {"model": "embedder", "input": "one two three four five six seven eight nine ten"}
    async with serving(settings) as client:
        spent = 0
        while (answer := await client.post("/v1/embeddings", json=asked, headers=headers)).status_code == 200:
            spent += answer.json()["usage"]["prompt_tokens"]
        assert 0 < spent <= 40 < spent * 5
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "budget_exceeded")
        assert "tokens" in answer.json()["error"]["message"]
        (month,) = (await client.get("/v1/usage", headers=headers)).json()["data"]
        assert (month["prompt_tokens"], month["completion_tokens"], month["unpriced_calls"]) == (spent, 0, 0)
        row = {"custom_id": "1", "method": "POST", "url": "/v1/embeddings", "body": asked}
        parts: Any = {"file": ("a.jsonl", json.dumps(row))}
        file = (await client.post("/v1/files", files=parts, headers=headers)).json()["id"]
        made = {"input_file_id": file, "endpoint": "/v1/embeddings", "completion_window": "24h"}
        id = (await client.post("/v1/batches", json=made, headers=headers)).json()["id"]
        while (batch := (await client.get(f"/v1/batches/{id}", headers=headers)).json())["status"] == "in_progress":
            await asyncio.sleep(0.05)
        assert batch["request_counts"] == {"total": 1, "completed": 0, "failed": 1}
