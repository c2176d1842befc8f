"""What a stream says on the way."""

from __future__ import annotations

import httpx
import pytest

from orchestrator.service import chat
from tests.scripts.one_question import events


async def test_only_the_usage_has_no_choices_and_what_is_said_on_the_way_is_reasoning(
    client: httpx.AsyncClient,
) -> None:
    for model, usage in (("words", False), ("vote", False), ("vote", True)):
        extra = {"stream_options": {"include_usage": True}} if usage else {}
        found = await events(client, model=model, collegium={"kind": "text"}, **extra)
        empty = [event for event in found if not event["choices"]]
        assert [event["usage"]["total_tokens"] > 0 for event in empty] == [True] * usage
        deltas = [event["choices"][0]["delta"] for event in found if event["choices"]]
        reasoning = "".join(delta.get("reasoning_content", "") for delta in deltas)
        assert ("words: Easy." in reasoning) == (model == "vote")
        (last,) = [event for event in found if event["choices"] and event["choices"][0]["finish_reason"]]
        assert ("answer" in last.get("collegium", {})) == (model == "vote")


async def test_a_stream_that_waits_says_that_it_is_alive(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat, "ALIVE", 0.05)
    body = {"model": "words", "messages": [{"role": "user", "content": "nap"}], "stream": True}
    text = (await client.post("/v1/chat/completions", json=body)).text
    assert text.startswith(": waiting\n\n")
    assert text.endswith("data: [DONE]\n\n")
    body["messages"] = [{"role": "user", "content": "fail nap"}]
    late = await client.post(
        "/v1/chat/completions", json={**body, "messages": [{"role": "user", "content": "w " * 3000}]}
    )
    assert late.status_code == 400
