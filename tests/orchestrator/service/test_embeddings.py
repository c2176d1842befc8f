"""Embeddings in OpenAI's form."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import openai


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
        ({"input": [1, 2]}, 400, "input"),
        ({"dimensions": 3}, 400, "dimensions"),
    ]
    for body, status, named in wrong:
        answer = await client.post("/v1/embeddings", json={"model": "embedder", "input": "a", **body})
        assert answer.status_code == status, body
        assert named in answer.json()["error"]["message"]
