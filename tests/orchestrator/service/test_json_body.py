"""Bodies are read strictly: a name that stands twice is refused, for each route and each row of a batch."""

from __future__ import annotations

import json

import httpx
import pytest

from orchestrator.service.json_body import RepeatedName, loads

TYPED = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ('{"model": "a", "model": "b"}', "model"),
        ('{"messages": [{"role": "user", "content": "a", "content": "b"}]}', "content"),
        ('{"a": {"b": {}, "b": {}}}', "b"),
        ('{"\\u0061": 1, "a": 1}', "a"),
        ('{"a\\n": 1, "a\\n": 1}', "a?"),
    ],
)
def test_a_name_that_stands_twice_is_named(raw: str, name: str) -> None:
    with pytest.raises(RepeatedName, match="twice") as caught:
        loads(raw)
    assert caught.value.name == name


def test_all_else_is_read_as_python_reads_it() -> None:
    for raw in ('{"a": [1, {"a": 1}, {"a": 1}]}', "[]", '"a"', "{}"):
        assert loads(raw) == json.loads(raw)
    assert loads('{"a": "ü"}'.encode("utf-16")) == {"a": "ü"}
    with pytest.raises(ValueError, match="Expecting"):
        loads("{")


@pytest.mark.parametrize("path", ["chat/completions", "completions", "responses", "messages", "embeddings", "jobs"])
async def test_no_route_takes_one_of_two_values(client: httpx.AsyncClient, path: str) -> None:
    body = '{"model": "other", "model": "words", "input": "a", "prompt": "a", "max_tokens": 4, "messages": []}'
    answer = await client.post(f"/v1/{path}", content=body, headers=TYPED)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["param"], error["message"]) == ("model", "model: stands twice in one object; send it once")


async def test_a_row_of_a_batch_neither(client: httpx.AsyncClient) -> None:
    row = b'{"custom_id": "1", "url": "/v1/chat/completions", "body": {"model": "other", "model": "words"}}'
    file = (await client.post("/v1/files", files={"file": ("a.jsonl", row)})).json()["id"]
    made = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    (error,) = (await client.post("/v1/batches", json=made)).json()["errors"]["data"]
    assert (error["line"], error["param"]) == (1, "model")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("field", ["metadata", "user", "tools", "instructions", "temperature"])
async def test_a_number_that_json_has_not_is_refused_by_name(
    client: httpx.AsyncClient, field: str, number: str
) -> None:
    value = f'[{{"type": "web_search", "a": {number}}}]' if field == "tools" else number
    body = f'{{"model": "words", "input": "a", "{field}": {value}}}'
    answer = await client.post("/v1/responses", content=body, headers=TYPED)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == field
