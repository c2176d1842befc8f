"""Embeddings in OpenAI's form, by the router's own embedder."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

from fastapi import FastAPI, Request

from orchestrator.service.protocols import Runtime
from orchestrator.service.refusals import Refused
from orchestrator.service.schema import EmbeddingsBody
from orchestrator.service.scopes import check_model, scoped
from router.embedding import EmbeddingError

MODEL = "embedder"
"""The model id of the router's embedder; the name of its checkpoint is understood too."""


def add(api: FastAPI, runtime: Runtime) -> None:
    """Add the route."""

    @api.post("/v1/embeddings", openapi_extra=scoped("chat"))
    async def embeddings(body: EmbeddingsBody, request: Request) -> dict[str, Any]:
        """Unit vectors of texts: https://platform.openai.com/docs/api-reference/embeddings."""
        check_model(request.scope, body.model)
        embedder = await asyncio.to_thread(lambda: runtime.collegium.embedder)
        if body.model not in (MODEL, embedder.model):
            message = f"the model {body.model[:100]!r} embeds nothing; {MODEL!r} does"
            raise Refused(404, message, code="model_not_found", param="model")
        texts = [body.input] if isinstance(body.input, str) else body.input
        try:
            vectors = await asyncio.to_thread(embedder.embed, texts)
        except EmbeddingError as error:
            raise Refused(400, f"input: {error}", code="invalid", param="input") from error
        if body.dimensions is not None and body.dimensions != vectors.shape[1]:
            message = f"dimensions: this model's vectors have {vectors.shape[1]}, and cannot be cut"
            raise Refused(400, message, code="invalid", param="dimensions")
        packed = body.encoding_format == "base64"
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": base64.b64encode(vector.astype("<f4").tobytes()).decode() if packed else vector.tolist(),
            }
            for index, vector in enumerate(vectors)
        ]
        words = sum(len(text.split()) for text in texts)
        usage = {"prompt_tokens": words, "total_tokens": words}
        return {"object": "list", "data": data, "model": body.model, "usage": usage}
