"""Embeddings in OpenAI's form, by the router's own embedder."""

from __future__ import annotations

import asyncio
import base64
import logging
import math
import threading
from typing import Any

import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from numpy.typing import NDArray

from orchestrator.errors import BudgetExceeded, Cancelled
from orchestrator.inference.budget import Budget
from orchestrator.service.chat import check_strict, ignored_header, until_gone
from orchestrator.service.protocols import Runtime
from orchestrator.service.refusals import Refused
from orchestrator.service.schema import EmbeddingsBody
from orchestrator.service.scopes import check_model, scoped
from orchestrator.service.thread_queue import ThreadQueue
from router.embedding import Embedder, EmbeddingError

MODEL = "embedder"
"""The model id of the router's embedder; the name of its checkpoint is understood too."""


CHUNK = 8
"""Texts that are embedded at once: between two chunks a chat's question is."""


def add(api: FastAPI, runtime: Runtime) -> None:
    """Add the route."""
    thread = ThreadQueue()

    @api.post("/v1/embeddings", openapi_extra=scoped("chat"))
    async def embeddings(body: EmbeddingsBody, request: Request) -> Response:
        """Unit vectors of texts: https://platform.openai.com/docs/api-reference/embeddings."""
        check_model(request.scope, body.model)
        check_strict(body.ignored, runtime.config.service, request)
        made = await until_gone(request.receive, embedded(runtime, body, thread))
        return JSONResponse(made, headers=ignored_header(body.ignored))


async def embedded(runtime: Runtime, body: EmbeddingsBody, thread: ThreadQueue) -> dict[str, Any]:
    """The body of a response. Raises `Refused`: 404 for a model that embeds nothing, 400 for what cannot be embedded,
    503 where the embedder does not work; and `Overloaded`."""
    embedder = runtime.collegium.embedder
    if body.model not in (MODEL, embedder.model):
        message = f"the model {body.model[:100]!r} embeds nothing; {MODEL!r} does"
        raise Refused(404, message, code="model_not_found", param="model")
    texts = [body.input] if isinstance(body.input, str) else body.input
    for index, text in enumerate(texts):
        if not text.strip():
            message = f"input: text {index} is empty: there is nothing to embed"
            raise Refused(400, message, code="invalid", param="input")
    gone = threading.Event()
    payer = await asyncio.to_thread(runtime.accounts.current)
    try:
        return await thread.run(lambda: _embedded(embedder, body, texts, gone, payer))
    finally:
        gone.set()


def _embedded(
    embedder: Embedder, body: EmbeddingsBody, texts: list[str], gone: threading.Event, payer: Budget | None
) -> dict[str, Any]:
    """`gone`: nobody waits for it any more. `payer`: whose budget the texts' tokens count in. Raises `BudgetExceeded`
    where they do not fit."""
    if payer is None:
        return _vectors(embedder, body, texts, gone)
    maximum = (float(_counted(embedder, texts)) if math.isfinite(payer.limits[0]) else 0.0, 0.0)
    if not payer.reserve(maximum):
        spent, limit = (f"{amount:.6g}" for amount in (payer.spent[0], payer.limits[0]))
        raise BudgetExceeded(
            f"{payer.name}.tokens: {spent} of {limit} tokens are spent, and these texts have {maximum[0]:.0f}: raise "
            "the budget, or embed fewer texts"
        )
    try:
        made = _vectors(embedder, body, texts, gone)
        payer.spend(made["usage"]["prompt_tokens"], 0, 0.0)
        return made
    finally:
        payer.release(maximum)


def _counted(embedder: Embedder, texts: list[str]) -> int:
    try:
        return embedder.count_tokens(texts)
    except EmbeddingError as error:
        raise _unusable(error) from error


def _unusable(error: EmbeddingError) -> Refused:
    logging.getLogger("collegium").error("embeddings: %s", error)
    return Refused(503, "the embedder does not work; the server's log says why", code="embedder_unusable")


def _vectors(embedder: Embedder, body: EmbeddingsBody, texts: list[str], gone: threading.Event) -> dict[str, Any]:
    chunks: list[NDArray[np.float32]] = []
    tokens = 0
    try:
        for start in range(0, len(texts), CHUNK):
            if gone.is_set():
                raise Cancelled("the client has gone")
            chunks.append(embedder.embed(texts[start : start + CHUNK]))
            tokens += embedder.count_tokens(texts[start : start + CHUNK])
    except EmbeddingError as error:
        raise _unusable(error) from error
    vectors = np.concatenate(chunks)
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
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": body.model, "usage": usage}
