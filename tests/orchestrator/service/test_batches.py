"""Files and batches, through the official client: run by expert, resumed, half-finished results at hand."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import httpx
import openai
import pytest

from orchestrator.errors import StorageError
from orchestrator.service import batches
from orchestrator.service.batch_store import BatchRow, BatchStore
from tests.scripts.batch_files import CHAT, lines, row, run, submit


def finished(client: openai.OpenAI, id: str) -> Any:
    for _ in range(1500):
        batch = client.batches.retrieve(id)
        if batch.status not in ("validating", "in_progress", "finalizing"):
            return batch
        time.sleep(0.02)
    raise AssertionError(batch)


@pytest.mark.parametrize("url_of_rows", [CHAT, "/v1/responses"])
def test_the_official_client_runs_a_batch(url: str, url_of_rows: Any) -> None:
    rows = [row(n, ("words", "coins")[n % 2], f"Which word? {n}", url_of_rows) for n in range(20)]
    rows += [row(20, "nobody", url=url_of_rows), row(21, url=url_of_rows, temperature=7)]
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        file = client.files.create(file=("asked.jsonl", lines(*rows)), purpose="batch")
        assert client.files.content(file.id).content == lines(*rows)
        made = client.batches.create(
            input_file_id=file.id, endpoint=url_of_rows, completion_window="24h", metadata={"why": "test"}
        )
        batch = finished(client, made.id)
        assert (batch.status, batch.request_counts.model_dump()) == (
            "completed", {"total": 22, "completed": 20, "failed": 2})  # fmt: skip
        assert batch.output_file_id
        assert batch.error_file_id
        found = [json.loads(line) for line in client.files.content(batch.output_file_id).text.splitlines()]
        assert [one["custom_id"] for one in found] == [f"r{n}" for n in range(20)]
        assert {one["response"]["status_code"] for one in found} == {200}
        texts = {json.dumps(one["response"]["body"]) for one in found}
        assert sum("Answer: a" in text for text in texts) == 10, "each row has its own expert's answer"
        wrong = [json.loads(line) for line in client.files.content(batch.error_file_id).text.splitlines()]
        assert [one["response"]["status_code"] for one in wrong] == [404, 400]
        assert [one.id for one in client.batches.list()] == [batch.id]
        assert [one.id for one in client.files.list()] == [file.id]
        client.files.delete(file.id)
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve(file.id)


def test_embeddings_are_batched_as_they_are_asked_for_alone(url: str) -> None:
    rows = [
        {"custom_id": f"r{n}", "method": "POST", "url": "/v1/embeddings", "body": {"model": "embedder", "input": text}}
        for n, text in enumerate(("a cat", ["tax law", "a dog"], ""))
    ]
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        file = client.files.create(file=("asked.jsonl", lines(*rows)), purpose="batch")
        made = client.batches.create(input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h")
        batch = finished(client, made.id)
        found = [
            json.loads(line)["response"]["body"] for line in client.files.content(batch.output_file_id).iter_lines()
        ]
        wrong = json.loads(client.files.content(batch.error_file_id).text)
        alone = client.embeddings.create(model="embedder", input="a cat", encoding_format="float")
    assert [len(one["data"]) for one in found] == [1, 2]
    assert found[0]["data"][0]["embedding"] == pytest.approx(alone.data[0].embedding, abs=1e-6)
    assert (wrong["custom_id"], wrong["response"]["status_code"]) == ("r2", 400)


async def test_a_row_that_a_batch_cannot_keep_is_refused_by_name(client: httpx.AsyncClient) -> None:
    rows = lines(row(0, url="/v1/responses", previous_response_id="resp_1"), row(1, url="/v1/responses"))
    batch = await run(client, rows, endpoint="/v1/responses")
    assert batch["request_counts"] == {"total": 2, "completed": 1, "failed": 1}
    wrong = json.loads((await client.get(f"/v1/files/{batch['error_file_id']}/content")).text)
    assert wrong["response"]["body"]["error"]["param"] == "previous_response_id"
    right = json.loads((await client.get(f"/v1/files/{batch['output_file_id']}/content")).text)
    assert right["response"]["body"]["store"] is False, "it was not kept"


async def test_a_strict_service_refuses_the_rows_that_it_would_refuse_alone(
    settings: dict[str, Any], serving: Any
) -> None:
    settings["service"]["strict"] = True
    async with serving(settings) as client:
        batch = await run(client, lines(row(0, user="ann"), row(1)))
        assert batch["request_counts"] == {"total": 2, "completed": 1, "failed": 1}
        wrong = json.loads((await client.get(f"/v1/files/{batch['error_file_id']}/content")).text)
        assert wrong["response"]["body"]["error"]["param"] == "user"


async def test_each_expert_is_loaded_once(client: httpx.AsyncClient) -> None:
    rows = [row(n, ("words", "coins")[n % 2], f"number {n}") for n in range(60)]
    await run(client, lines(*rows))
    metrics = (await client.get("/metrics")).text
    assert "collegium:swaps_total 2.0" in metrics


async def test_an_interrupted_batch_goes_on_and_its_results_are_at_hand(settings: dict[str, Any], serving: Any) -> None:
    rows = lines(*(row(n, "words", f"nap {n}" if n < 34 else "nap") for n in range(40)))
    async with serving(settings) as client:
        id = await submit(client, rows)
        for _ in range(1000):
            batch = (await client.get(f"/v1/batches/{id}")).json()
            if batch["request_counts"]["completed"]:
                break
            await asyncio.sleep(0.02)
        assert 0 < batch["request_counts"]["completed"] < 40
        early = (await client.get(f"/v1/files/{batch['output_file_id']}/content")).text.splitlines()
        assert early
    async with serving(settings) as client:
        for _ in range(1500):
            batch = (await client.get(f"/v1/batches/{id}")).json()
            if batch["status"] == "completed":
                break
            await asyncio.sleep(0.02)
        assert batch["request_counts"] == {"total": 40, "completed": 40, "failed": 0}
        late = (await client.get(f"/v1/files/{batch['output_file_id']}/content")).text.splitlines()
        answers = [{json.loads(line)["custom_id"]: json.loads(line)["response"]["body"]["id"] for line in part}
                   for part in (early, late)]  # fmt: skip
        assert answers[0].items() <= answers[1].items(), "what was recorded stays"


async def test_a_cancelled_batch_stops(client: httpx.AsyncClient) -> None:
    id = await submit(client, lines(*(row(n, "words", f"nap {n}") for n in range(200))))
    stopped = (await client.post(f"/v1/batches/{id}/cancel")).json()
    assert (stopped["status"], stopped["cancelled_at"] is not None) == ("cancelled", True)
    again = (await client.post(f"/v1/batches/{id}/cancel")).json()
    assert again["cancelled_at"] == stopped["cancelled_at"]


async def test_answers_that_cannot_be_recorded_at_once_are_recorded_later_and_once(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded, refused = BatchStore.record, []

    def record(self: BatchStore, id: str, rows: Any) -> None:
        if rows and len(refused) < 2:
            refused.append(len(rows))
            raise StorageError("the disk is full")
        recorded(self, id, rows)

    monkeypatch.setattr(BatchStore, "record", record)
    monkeypatch.setattr(batches, "RECORD", 0.02)
    rows = [row(n, "words", f"nap {n}") for n in range(3)] + [row(9, "nobody")]
    batch = await run(client, lines(*rows))
    assert len(refused) == 2
    assert batch["request_counts"] == {"total": 4, "completed": 3, "failed": 1}
    for file, ids in (("output_file_id", ["r0", "r1", "r2"]), ("error_file_id", ["r9"])):
        written = (await client.get(f"/v1/files/{batch[file]}/content")).text.splitlines()
        assert sorted(json.loads(line)["custom_id"] for line in written) == ids


async def test_answers_whose_write_fails_while_their_batch_ends_are_not_lost() -> None:
    writing, fail = threading.Event(), threading.Event()

    class Full:
        def record(self, id: str, rows: Any) -> None:
            writing.set()
            fail.wait(10)
            raise StorageError("the disk is full")

    running = object.__new__(batches.Batches)
    running._store = Full()  # type: ignore[assignment]
    answered: asyncio.Queue[BatchRow] = asyncio.Queue()
    answered.put_nowait(BatchRow(1, "r1", {}, 200, {}))
    task = asyncio.create_task(running._try_flush("batch", answered))
    await asyncio.to_thread(writing.wait, 10)
    task.cancel()
    await asyncio.sleep(0)
    fail.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert answered.get_nowait().custom_id == "r1"
