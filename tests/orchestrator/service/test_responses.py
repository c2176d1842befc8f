"""OpenAI's Responses, as the official client reads them."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest

TOOL: Any = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}, "strict": False}


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    settings["experts"]["caller"] = {"script": "weather_caller:caller"}
    return settings


@pytest.fixture
def official(url: str) -> Any:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_a_text_is_answered_and_gone_on_from(official: openai.OpenAI) -> None:
    first = official.responses.create(model="words", input="Which word?", instructions="Be kind.")
    assert (first.status, first.output_text) == ("completed", "Easy.\nAnswer: a\nConfidence: 0.9")
    assert first.usage
    assert first.usage.total_tokens == first.usage.input_tokens + first.usage.output_tokens > 0
    second = official.responses.create(model="words", input="history", previous_response_id=first.id)
    assert second.output_text == f"user:Which word? | assistant:{first.output_text} | user:history"
    assert official.responses.retrieve(second.id).output_text == second.output_text
    official.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError, match=first.id):
        official.responses.create(model="words", input="history", previous_response_id=first.id)
    secret = official.responses.create(model="words", input="Which word?", store=False)
    with pytest.raises(openai.NotFoundError):
        official.responses.retrieve(secret.id)


@pytest.mark.parametrize("model", ["words", "vote"])
def test_a_stream_is_put_together_by_the_official_client(official: openai.OpenAI, model: str) -> None:
    extra: Any = {"collegium": {"kind": "text"}}
    with official.responses.stream(model=model, input="Which word?", extra_body=extra) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert ("response.reasoning_text.delta" in kinds) == (model == "vote")
    assert "Answer: a" in final.output_text or final.output_text == "a"
    assert official.responses.retrieve(final.id).output_text == final.output_text
    numbers = []
    for event in official.responses.create(model=model, input="Which word?", stream=True, extra_body=extra):
        numbers.append(event.sequence_number)
    assert numbers == list(range(len(numbers)))


def test_a_function_is_called_and_its_output_sent_back(official: openai.OpenAI) -> None:
    with official.responses.stream(model="caller", input="Rain?", tools=[TOOL]) as stream:
        events = list(stream)
        first = stream.get_final_response()
    assert [json.loads(one.arguments) for one in events if one.type == "response.function_call_arguments.done"] == [
        {"city": "Ulm"}
    ]
    (call,) = [item for item in first.output if item.type == "function_call"]
    assert (call.name, first.output_text) == ("weather", "I look. ")
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "dry"}
    for more in (
        {"previous_response_id": first.id, "input": [result]},
        {"input": [{"role": "user", "content": "Rain?"}, *[item.model_dump() for item in first.output], result]},
    ):
        assert official.responses.create(model="caller", tools=[TOOL], **more).output_text == "It is dry"  # type: ignore[call-overload]


def test_a_schema_is_kept_to(official: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    text: Any = {"format": {"type": "json_schema", "name": "s", "schema": schema}}
    assert "a" in json.loads(official.responses.create(model="words", input="Which word?", text=text).output_text)


async def test_a_cut_reply_is_incomplete(client: httpx.AsyncClient) -> None:
    body = {"model": "words", "input": "Which word?", "max_output_tokens": 1}
    found = (await client.post("/v1/responses", json=body)).json()
    assert (found["status"], found["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})


def test_what_led_to_a_response_is_listed(official: openai.OpenAI) -> None:
    first = official.responses.create(model="words", input="Which word?", instructions="Be kind.")
    asked: Any = [
        {"role": "user", "content": [{"type": "input_text", "text": "more"}]},
        {"type": "function_call", "name": "weather", "call_id": "c", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "dry"},
        {"role": "user", "content": "history"},
    ]
    second = official.responses.create(model="words", input=asked, previous_response_id=first.id)
    items = list(official.responses.input_items.list(second.id, order="asc", limit=2))
    kinds = ["message", "message", "message", "function_call", "function_call_output", "message"]
    assert [item.type for item in items] == kinds
    assert items[0].content[0].text == "Which word?"
    assert items[1].content[0].text == first.output_text
    assert len({item.id for item in items}) == len(items)
    newest = official.responses.input_items.list(second.id, limit=1)
    assert (newest.data[0].id, newest.has_more) == (items[-1].id, True)
    with pytest.raises(openai.BadRequestError, match="after"):
        official.responses.input_items.list(second.id, after="nothing")
    with pytest.raises(openai.NotFoundError):
        official.responses.input_items.list("resp_none")
