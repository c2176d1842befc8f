"""Experts on servers that misbehave, as a client and an operator see it: one expert, `mixture`, a vote, a discussion;
streamed and whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.inference.engines.admission import COOLDOWN
from router.row import Row
from router.table import Table
from tests.scripts.misbehaving import COST, STATUSES, WORDS, Misbehaving, misbehaving

KEY = "sk-upstream-0123456789"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Misbehaving]:
    with misbehaving() as server:
        yield server


@pytest.fixture
def far(settings: dict[str, Any], upstream: Misbehaving, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The configuration with these models of the upstream as experts, ranked in this order."""
    monkeypatch.setenv("UPSTREAM_KEY", KEY)
    upstream.asked.clear()

    def configure(*models: str, **expert: Any) -> dict[str, Any]:
        common = {"api_key_env": "UPSTREAM_KEY", "timeout": 2, "tries": 1, **expert}
        urls = {model: "http://127.0.0.1:9/v1" if model == "refused" else upstream.url for model in models}
        experts = {model: {"url": urls[model], "model": model, **common} for model in models}
        rows = [
            Row(f"q{n}", f"Is it so, number {n}?", {m: float(n % (1 + place) == 0) for place, m in enumerate(models)})
            for n in range(30)
        ]
        profile = Path(settings["state"]).parent / "profile.jsonl"
        Table.from_rows(rows, models).write(profile)
        service = {**settings["service"], "profile": str(profile), "router": "best"}
        return {**settings, "experts": experts, "service": service}

    return configure


async def ask(client: httpx.AsyncClient, model: str, stream: bool = False, **body: Any) -> httpx.Response:
    messages = [{"role": "user", "content": "Is it so?"}]
    wanted = {"model": model, "messages": messages, "stream": stream, **body}
    return await client.post("/v1/chat/completions", json=wanted)


def text_of(response: httpx.Response) -> str:
    """What the client reads, from either form."""
    if not response.headers["content-type"].startswith("text/event-stream"):
        return str(response.json()["choices"][0]["message"]["content"])
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
    assert not [event for event in events if "error" in event], events
    return "".join(event["choices"][0]["delta"].get("content") or "" for event in events if event["choices"])


def error_of(response: httpx.Response) -> dict[str, Any]:
    if response.status_code != 200:
        return dict(response.json()["error"])
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
    (error,) = [event["error"] for event in events if "error" in event]
    return dict(error)


def check_words(error: dict[str, Any], upstream: Misbehaving) -> None:
    """A client reads one sentence without addresses, keys, or what an upstream said."""
    said = [message for _, message in STATUSES.values()]
    assert error["message"]
    assert "http" not in error["message"]
    for secret in (upstream.url, KEY, *said):
        assert secret not in error["message"], error


@pytest.mark.parametrize("model", ["mixture", "best", "vote", "reconcile", "self-consistency", "moa", "debate-judge"])
async def test_several_experts_go_on_without_those_that_fail(
    far: Any, serving: Any, upstream: Misbehaving, model: str
) -> None:
    settings = far("broken", "html", "fine")
    async with serving(settings) as client:
        explained = (await ask(client, model, collegium={"kind": "yesno", "explain": True})).json()["collegium"]
        assert {"broken", "html"} & {*explained["failed"]}
        for stream in (False, True, False, True):
            response = await ask(client, model, stream, collegium={"kind": "yesno", "recruit": 1})
            assert response.status_code == 200, response.text
            assert "yes" in text_of(response)
    assert max(upstream.asked["broken"], upstream.asked["html"]) <= 3


@pytest.mark.parametrize("model", ["mixture", "best", "vote", "reconcile", "single"])
async def test_where_nobody_answers_there_is_one_clear_error(
    far: Any, serving: Any, upstream: Misbehaving, model: str
) -> None:
    async with serving(far("broken", "refused", "role-only")) as client:
        for kind, stream in (("open", False), ("open", True), ("yesno", False), ("yesno", True)):
            response = await ask(client, model, stream, collegium={"kind": kind})
            assert response.status_code == 503, response.text
            error = error_of(response)
            assert error["code"] == "no_expert_answered"
            assert int(response.headers["retry-after"]) >= 1
            check_words(error, upstream)


async def test_a_prompt_too_long_for_everybody_is_the_callers_mistake(far: Any, serving: Any) -> None:
    async with serving(far("too-long", "too-large")) as client:
        for model in ("mixture", "vote", "reconcile"):
            response = await ask(client, model, collegium={"kind": "yesno"})
            assert (response.status_code, error_of(response)["code"]) == (400, "context_length_exceeded")


async def test_a_dead_expert_is_asked_three_times_in_all(far: Any, serving: Any, upstream: Misbehaving) -> None:
    import asyncio

    async with serving(far("broken", "hang", "fine", tries=3) | {}) as client:
        responses = await asyncio.gather(*(ask(client, "mixture") for _ in range(40)))
    assert [response.status_code for response in responses] == [200] * 40
    assert upstream.asked["broken"] <= 3
    assert upstream.asked["hang"] <= 3


async def test_what_is_sent_is_what_a_server_understands(far: Any, serving: Any, upstream: Misbehaving) -> None:
    async with serving(far("fine")) as client:
        await ask(client, "fine")
    assert "max_tokens" not in upstream.bodies["fine"]  # nobody said how long the reply may be
    assert upstream.heads["fine"]["authorization"] == f"bearer {KEY}"


async def test_what_a_server_cuts_by_its_rules_is_shown_as_cut(far: Any, serving: Any) -> None:
    async with serving(far("cut-by-rules")) as client:
        for stream in (False, True):
            filtered = await ask(client, "cut-by-rules", stream)
            assert "Answer: yes" in text_of(filtered)
            assert "content_filter" in filtered.text


async def test_a_broken_reply_is_not_shown_before_an_expert_has_proved_itself(far: Any, serving: Any) -> None:
    """The first streamed reply of each expert is held to its end: what broke off is never shown."""
    async with serving(far("cut", "cut-by-rules", "fine")) as client:
        response = await ask(client, "mixture", True)
        assert text_of(response) == WORDS
        events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
        (explained,) = [event["collegium"] for event in events if "ranking" in event.get("collegium", {})]
        assert explained["failed"] == {"cut": "upstream_unreachable", "cut-by-rules": "content_filter"}
        assert explained["unused"] == {"cut": None, "cut-by-rules": COST}  # paid for, and not used


async def test_costs_are_what_the_upstream_says_or_what_prices_say(far: Any, serving: Any) -> None:
    settings = far("fine", "usage-in-all", "whole")
    settings["experts"]["usage-in-all"]["prices"] = {"input": 2.0, "output": 1_000_000.0}
    async with serving(settings) as client:
        stated = await ask(client, "fine")
        assert stated.headers["x-collegium-cost"] == "0.0125"
        assert stated.headers["x-collegium-experts"] == "fine"
        usage = stated.json()["usage"]
        assert (usage["cost"], usage["prompt_tokens_details"]) == (COST, {"cached_tokens": 32})
        assert usage["completion_tokens_details"] == {"reasoning_tokens": 2}
        priced = (await ask(client, "usage-in-all")).json()["usage"]
        assert priced["cost"] == pytest.approx((40 * 2 + 9 * 1e6) / 1e6)
        both = await ask(client, "vote", collegium={"kind": "yesno"})
        cost = float(both.headers["x-collegium-cost"])
        assert cost == pytest.approx(2 * COST + priced["cost"])
        assert set(both.headers["x-collegium-experts"].split(", ")) == {"fine", "usage-in-all", "whole"}
        again = await ask(client, "vote", collegium={"kind": "yesno"})
        assert float(again.headers["x-collegium-cost"]) == 0.0  # all from the ledger


async def test_nobody_guesses_a_price_of_tokens_that_were_not_counted(far: Any, serving: Any) -> None:
    settings = far("no-usage")
    settings["experts"]["no-usage"]["prices"] = {"input": 2.0, "output": 8.0}
    async with serving(settings) as client:
        response = await ask(client, "no-usage")
    assert "cost" not in response.json()["usage"]
    assert "x-collegium-cost" not in response.headers


async def test_streams_and_other_forms_tell_who_answered_and_what_it_cost(far: Any, serving: Any) -> None:
    async with serving(far("fine")) as client:
        for model in ("fine", "mixture"):
            options = {"stream_options": {"include_usage": True}, "seed": len(model)}
            stream = await ask(client, model, True, **options)
            assert stream.headers["x-collegium-experts"] == "fine"  # known when the first event is there
            events = [json.loads(line[6:]) for line in stream.text.splitlines() if line.startswith("data: {")]
            assert events[-1]["usage"]["cost"] == COST
            (end,) = [event for event in events if event["choices"] and event["choices"][0]["finish_reason"]]
            assert (end["collegium"]["cost"], end["collegium"]["experts"]) == (COST, ["fine"])
            body = {"model": model, "input": f"Is it so, {model}?", "stream": False}
            whole = await client.post("/v1/responses", json=body)
            assert (whole.headers["x-collegium-experts"], whole.headers["x-collegium-cost"]) == ("fine", str(COST))
            assert whole.json()["usage"]["cost"] == COST
            assert whole.json()["usage"]["input_tokens_details"] == {"cached_tokens": 32}
            stream = await client.post("/v1/responses", json={**body, "input": f"Is it, {model}?", "stream": True})
            assert stream.headers["x-collegium-experts"] == "fine"
            assert json.loads(stream.text.splitlines()[-2][6:])["response"]["usage"]["cost"] == COST
            body = {"model": model, "messages": [{"role": "user", "content": f"{model}?"}], "max_tokens": 99}
            whole = await client.post("/v1/messages", json=body)
            assert (whole.headers["x-collegium-experts"], whole.headers["x-collegium-cost"]) == ("fine", str(COST))
            stream = await client.post("/v1/messages", json={**body, "max_tokens": 98, "stream": True})
            assert stream.headers["x-collegium-experts"] == "fine"
            (last,) = [line for line in stream.text.splitlines() if '"message_delta"' in line and "data" in line]
            assert json.loads(last[6:])["usage"] == {
                "input_tokens": 40,
                "output_tokens": 9,
                "cache_read_input_tokens": 32,
                "cost": COST,
            }


async def test_what_an_expert_reasons_is_passed_on_as_each_form_has_it(far: Any, serving: Any) -> None:
    thought = "let me see "
    async with serving(far("thinks")) as client:
        message = (await ask(client, "thinks")).json()["choices"][0]["message"]
        assert (message["reasoning_content"], message["content"]) == (thought, WORDS)
        stream = await ask(client, "thinks", True)
        events = [json.loads(line[6:]) for line in stream.text.splitlines() if line.startswith("data: {")]
        deltas = [event["choices"][0]["delta"] for event in events if event["choices"]]
        assert "".join(delta.get("reasoning_content", "") for delta in deltas) == thought
        body = {"model": "thinks", "input": "Is it so?"}
        items = (await client.post("/v1/responses", json=body)).json()["output"]
        assert [item["type"] for item in items] == ["reasoning", "message"]
        assert items[0]["content"][0]["text"] == thought
        text = (await client.post("/v1/responses", json={**body, "stream": True})).text
        assert text.count("event: response.reasoning_text.delta") == 1
        body = {"model": "thinks", "messages": [{"role": "user", "content": "Is it?"}], "max_tokens": 2000}
        thinking = {"type": "enabled", "budget_tokens": 1024}
        blocks = (await client.post("/v1/messages", json={**body, "thinking": thinking})).json()["content"]
        assert [block["type"] for block in blocks] == ["thinking", "text"]
        assert blocks[0]["thinking"] == thought
        text = (await client.post("/v1/messages", json={**body, "thinking": thinking, "stream": True})).text
        assert text.count("thinking_delta") == 1
        assert [line for line in text.splitlines() if '"content_block_start"' in line and '"index": 1' in line]
        blocks = (await client.post("/v1/messages", json=body)).json()["content"]
        assert [block["type"] for block in blocks] == ["text"]  # who does not ask for thoughts gets none


async def test_metrics_show_which_experts_fail_and_what_was_paid(far: Any, serving: Any) -> None:
    async with serving(far("broken", "fine")) as client:
        for number in range(4):
            await ask(client, "mixture", seed=number)
            await ask(client, "broken")
        text = (await client.get("/metrics")).text
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(lines['collegium:expert_failures_total{code="upstream_error",expert="broken"}']) >= 4
    assert float(lines['collegium:expert_not_asked_total{expert="broken"}']) >= 1  # cut off after three
    assert float(lines['collegium:expert_troubled{expert="broken"}']) >= 2
    assert 0 < float(lines['collegium:expert_cut_off_seconds{expert="broken"}']) <= COOLDOWN
    assert 'collegium:expert_cut_off_seconds{expert="fine"}' not in lines
    assert float(lines['collegium:dollars_total{model="mixture"}']) == COST  # the others came from the ledger


async def test_one_unset_key_stops_one_expert(far: Any, serving: Any) -> None:
    settings = far("fine", "whole")
    settings["experts"]["fine"]["api_key_env"] = "NOT_SET_ANYWHERE"
    async with serving(settings) as client:
        response = await ask(client, "fine")
        assert (response.status_code, error_of(response)["code"]) == (503, "expert_unavailable")
        assert "NOT_SET" not in error_of(response)["message"]
        assert (await ask(client, "mixture")).status_code == 200
        assert (await ask(client, "whole")).status_code == 200
