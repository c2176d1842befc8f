"""Runs batches beside the chats: all rows are asked at once, so that each expert is loaded once and answers its own.

A batch that was interrupted goes on at the next start: what was recorded stays, and what an expert had answered but was
not recorded yet comes from the ledger, for each row draws by its own seed.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import secrets
import time
from typing import Any

from pydantic import ValidationError

from orchestrator.chats.chat_body import ChatBody
from orchestrator.errors import StorageError
from orchestrator.inference.caller import caller
from orchestrator.service import completions, embeddings, refusals, replies, responses
from orchestrator.service.batch_store import BatchRow, BatchStore, StoredBatch
from orchestrator.service.chat import check_strict
from orchestrator.service.completion_body import CompletionBody
from orchestrator.service.leases import SECONDS
from orchestrator.service.model_list import ModelList
from orchestrator.service.protocols import Runtime
from orchestrator.service.response_forms import as_chat
from orchestrator.service.schema import EmbeddingsBody
from orchestrator.service.thread_queue import ThreadQueue

ENDPOINTS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses")
LOOK = 1.0
"""Seconds between looks for new batches, and for those that were cancelled."""
NEXT = 0.1
"""The same after one was found: several services share those that wait."""
MARGIN = 5.0
"""Seconds before the end of a lease at which a service that cannot renew it stops."""
RECORD = 0.5
"""Seconds between writes of answers."""
AT_ONCE = 10_000
"""Rows under way at once, of all batches."""
_log = logging.getLogger("collegium")


class Batches:
    """One per service; several on one database share the batches, each of which one service holds at a time. `run` it
    on the service's loop."""

    def __init__(self, store: BatchStore, models: ModelList, runtime: Runtime) -> None:
        self._store = store
        self._models = models
        self._runtime = runtime
        self._embedding = ThreadQueue(AT_ONCE)
        self._places = asyncio.Semaphore(AT_ONCE)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._released = False
        self._new = asyncio.Event()
        self._held_until = 0.0
        """By this process's clock: until then no other service can have taken this one's batches over."""

    async def run(self) -> None:
        """Take up whatever is unfinished, until cancelled."""
        try:
            while True:
                new = False
                try:
                    new = await self._look()
                except Exception:
                    _log.exception("batches: cannot be looked up; trying again")
                    if time.monotonic() > self._held_until:
                        await self._stop(list(self._running.values()))  # another service may have taken them over
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(NEXT if new else LOOK):
                        await self._new.wait()
                self._new.clear()
        finally:
            await self._stop(list(self._running.values()))
            with contextlib.suppress(Exception):
                await asyncio.shield(asyncio.to_thread(self._store.leases.release))

    def look(self) -> None:
        """There is a new batch: look now. Call it on the service's loop."""
        self._new.set()

    async def _look(self) -> bool:
        """Whether a batch was taken up."""
        if not self._released:
            await asyncio.to_thread(self._store.leases.release)  # what this service held when it was killed
            self._released = True
        now = time.monotonic()
        held = await asyncio.to_thread(self._store.leases.renew) if self._running else set()
        self._held_until = now + SECONDS - MARGIN
        await self._stop([task for id, task in self._running.items() if id not in held])
        batch = await asyncio.to_thread(self._store.take)
        if batch is None:
            return False
        self._running[batch.id] = task = asyncio.create_task(self._work(batch))
        task.add_done_callback(lambda _, id=batch.id: self._running.pop(id, None))  # type: ignore[misc]
        return True

    async def _stop(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, batch: StoredBatch) -> None:
        caller.set(batch.owner)
        answered: asyncio.Queue[BatchRow] = asyncio.Queue()
        recording = asyncio.create_task(self._record(batch.id, answered))
        try:
            async with asyncio.TaskGroup() as group:
                for row in await asyncio.to_thread(self._store.waiting, batch.id):
                    await self._places.acquire()
                    group.create_task(self._row(batch, row, answered))
            recording.cancel()
            await asyncio.gather(recording, return_exceptions=True)
            await self._record(batch.id, answered, until_empty=True)
            await asyncio.to_thread(self._store.complete, batch.id)
        except asyncio.CancelledError:
            raise
        except Exception:
            _log.exception("batch %s: interrupted; it goes on when its lease has ended", batch.id)
        finally:
            recording.cancel()
            await asyncio.gather(recording, return_exceptions=True)
            with contextlib.suppress(Exception):
                await self._flush(batch.id, answered)

    async def _row(self, batch: StoredBatch, row: BatchRow, answered: asyncio.Queue[BatchRow]) -> None:
        try:
            status, body = 200, await self._answer(batch, row)
        except Exception as error:
            status, body, _ = refusals.of(error, batch.endpoint)
            if status >= 500:
                _log.error("batch %s, row %s: %s: %s", batch.id, row.custom_id[:100], type(error).__name__, error)
        finally:
            self._places.release()
        answered.put_nowait(BatchRow(row.number, row.custom_id, row.request, status, body))

    async def _answer(self, batch: StoredBatch, row: BatchRow) -> dict[str, Any]:
        """The body of the row's response. Raises what an ordinary request raises."""
        asked = {**row.request, "stream": False}
        try:
            if batch.endpoint == "/v1/embeddings":
                return await self._embed(EmbeddingsBody.model_validate(row.request))
            if batch.endpoint == "/v1/completions":
                return await self._completion(batch, row, CompletionBody.model_validate(asked))
            ignored = set[str]()
            if batch.endpoint == "/v1/responses":
                if asked.get("previous_response_id") is not None:
                    raise ValueError("previous_response_id: the rows of a batch stand alone; send the whole input")
                fields, ignored = as_chat(asked, [])
                chat = ChatBody.model_validate(fields)
            else:
                chat = ChatBody.model_validate(asked)
        except ValidationError as error:
            raise refusals.invalid(error.errors()) from error
        except ValueError as error:
            raise refusals.Refused(400, str(error), code="invalid", param=str(error).partition(":")[0]) from error
        check_strict({*chat.ignored, *ignored, *self._models.left_out(chat)}, self._runtime.config.service)
        if chat.seed is None and self._models.what(chat.model) == "expert":
            chat = chat.model_copy(update={"seed": _seed(batch, row)})
        events = self._models.chat_events(chat, batch=True)
        if batch.endpoint == "/v1/responses":
            return await responses.whole(events, responses.ResponseForm({**asked, "store": False}), _keep_nothing)
        return await replies.whole(events, replies.ReplyForm(chat.model, bool(chat.logprobs)))

    async def _embed(self, body: EmbeddingsBody) -> dict[str, Any]:
        check_strict(body.ignored, self._runtime.config.service)
        return await embeddings.embedded(self._runtime, body, self._embedding)

    async def _completion(self, batch: StoredBatch, row: BatchRow, body: CompletionBody) -> dict[str, Any]:
        check_strict(body.ignored, self._runtime.config.service)
        if body.seed is None:
            body = body.model_copy(update={"seed": _seed(batch, row)})
        form = completions.CompletionForm(body.model, body.echo, body.logprobs is not None)
        return await completions.whole(self._models.completion_events(body, batch=True), form)

    async def _record(self, id: str, answered: asyncio.Queue[BatchRow], until_empty: bool = False) -> None:
        """Write what is answered, each `RECORD` seconds. `until_empty`: only until all is written."""
        while not until_empty:
            await asyncio.sleep(RECORD)
            await self._try_flush(id, answered)
        while not answered.empty():
            if not await self._try_flush(id, answered):
                await asyncio.sleep(RECORD)

    async def _try_flush(self, id: str, answered: asyncio.Queue[BatchRow]) -> bool:
        try:
            await self._flush(id, answered)
        except StorageError as error:  # the answers wait for the next write
            _log.error("batch %s: answers cannot be recorded yet; trying again: %s", id, error)
            return False
        return True

    async def _flush(self, id: str, answered: asyncio.Queue[BatchRow]) -> None:
        rows = [answered.get_nowait() for _ in range(answered.qsize())]
        writing = asyncio.ensure_future(asyncio.to_thread(self._store.record, id, rows))
        try:
            await asyncio.shield(writing)
        finally:
            await asyncio.wait([writing])  # cancelled meanwhile: what could not be written is not lost
            if writing.exception() is not None:
                for row in rows:
                    answered.put_nowait(row)


async def _keep_nothing(_: dict[str, Any]) -> None:
    """Responses of a batch are in its output."""


def _seed(batch: StoredBatch, row: BatchRow) -> int:
    """A row's own draws, the same at every start."""
    return int.from_bytes(hashlib.sha256(f"{batch.id} {row.custom_id}".encode()).digest()[:7], "big")


def output(row: BatchRow) -> dict[str, Any]:
    """A row of the output file, in OpenAI's form."""
    return {
        "id": f"batch_req_{secrets.token_hex(12)}",
        "custom_id": row.custom_id,
        "response": {"status_code": row.status, "request_id": f"req-{secrets.token_hex(12)}", "body": row.body},
        "error": None,
    }
