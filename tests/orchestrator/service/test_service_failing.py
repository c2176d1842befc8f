"""Experts on servers that misbehave, as a client and an operator see it: one expert, `mixture`, a vote, a discussion;
streamed and whole."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from router.row import Row
from router.table import Table
from tests.scripts.misbehaving import COST, STATUSES, Misbehaving, misbehaving

KEY = "sk-upstream-0123456789"
WANTED = {
    # model: (status, code, Retry-After or None for none)
    "bad-request": (502, "upstream_refused", None),
    "bad-key": (502, "upstream_refused", None),
    "unpaid": (502, "upstream_refused", None),
    "forbidden": (502, "upstream_refused", None),
    "gone": (502, "upstream_refused", None),
    "redirect": (502, "upstream_refused", None),
    "no-quota": (502, "upstream_refused", None),
    "too-large": (400, "context_length_exceeded", None),
    "too-long": (400, "context_length_exceeded", None),
    "filtered": (400, "content_filter", None),
    "slow-client": (504, "upstream_timeout", "*"),
    "late": (504, "upstream_timeout", "*"),
    "limited-long": (429, "rate_limit_exceeded", "3600"),
    "limited": (429, "rate_limit_exceeded", "*"),
    "broken": (502, "upstream_error", "*"),
    "bad-gateway": (502, "upstream_error", "*"),
    "restarting": (503, "upstream_busy", "*"),
    "overloaded": (503, "upstream_busy", "*"),
    "hang": (504, "upstream_timeout", "*"),
    "refused": (502, "upstream_unreachable", "*"),
    "reset": (502, "upstream_unreachable", "*"),
    "html": (502, "upstream_error", "*"),
    "half-json": (502, "upstream_error", "*"),
    "not-text": (502, "upstream_error", "*"),
    "list": (502, "upstream_error", "*"),
    "bomb": (502, "upstream_error", "*"),
    "error-200": (502, "upstream_error", "*"),
    "role-only": (502, "upstream_error", "*"),
    "huge-line": (502, "upstream_error", "*"),
    "no-choices": (502, "upstream_error", "*"),
}
BREAKS_OFF = {
    "cut": (502, "upstream_unreachable"),
    "stops": (502, "upstream_unreachable"),
    "error-event": (502, "upstream_error"),
}
ANSWERS = ("fine", "whole", "thinks", "no-usage", "no-done", "negative-usage", "unknown-finish", "null-finish")
ANSWERS = (*ANSWERS, "once", "renames")


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


@pytest.mark.parametrize("stream", [False, True])
async def test_each_way_to_fail_is_one_status_and_one_sentence(
    far: Any, serving: Any, upstream: Misbehaving, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(far(*WANTED, *BREAKS_OFF)) as client:
        for model, (status, code, retry) in WANTED.items():
            caplog.clear()
            with caplog.at_level(logging.INFO, logger="collegium"):
                response = await ask(client, model, stream)
            error = error_of(response)
            assert (model, response.status_code, error["code"]) == (model, status, code)
            check_words(error, upstream)
            after = response.headers.get("retry-after")
            assert (after is not None) == (retry is not None), (model, after)
            assert retry in (None, "*", after)
            lines = [record.getMessage() for record in caplog.records if record.name == "collegium"]
            (line,) = [line for line in lines if line.startswith("request ")]
            assert line.startswith(f"request {response.headers['x-request-id']}: expert {model}: ")
            assert f"answered {status}" in line
            assert KEY not in line
        for model, (status, code) in BREAKS_OFF.items():
            response = await ask(client, model, stream)
            error = error_of(response)
            assert (model, error["code"]) == (model, code)
            assert response.status_code == (200 if stream else status)
            check_words(error, upstream)


@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_odd_and_complete_is_answered(
    far: Any, serving: Any, upstream: Misbehaving, stream: bool
) -> None:
    async with serving(far(*ANSWERS, "cut-by-rules", tries=3)) as client:
        for model in ANSWERS:
            response = await ask(client, model, stream)
            assert response.status_code == 200, (model, response.text)
            assert text_of(response).endswith("Answer: yes\nConfidence: 0.9"), model
        filtered = await ask(client, "cut-by-rules", stream)
        assert "Answer: yes" in text_of(filtered)
        assert "content_filter" in filtered.text
    assert "max_tokens" not in upstream.bodies["fine"]  # nobody said how long the reply may be
    assert upstream.heads["fine"]["authorization"] == f"bearer {KEY}"


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


SHOWN = (*BREAKS_OFF, "cut-by-rules")
"""What they begin is shown in a stream before they fail."""
HIDDEN = tuple(WANTED)


@pytest.mark.parametrize("modes", [SHOWN, *(HIDDEN[first : first + 4] for first in range(0, len(HIDDEN), 4))])
async def test_a_mixture_answers_whatever_its_first_experts_do(
    far: Any, serving: Any, upstream: Misbehaving, modes: tuple[str, ...]
) -> None:
    async with serving(far(*modes, "fine")) as client:
        for stream in (False,) if modes == SHOWN else (False, True):
            response = await ask(client, "mixture", stream)
            assert response.status_code == 200, response.text
            assert text_of(response).endswith("Confidence: 0.9")
    assert all(upstream.asked[mode] for mode in modes if mode != "refused")


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


async def test_costs_are_what_the_upstream_says_or_what_prices_say(far: Any, serving: Any) -> None:
    settings = far("fine", "no-usage", "whole")
    settings["experts"]["no-usage"]["prices"] = {"input": 2.0, "output": 1_000_000.0}
    async with serving(settings) as client:
        stated = await ask(client, "fine")
        assert stated.headers["x-collegium-cost"] == "0.0125"
        assert stated.headers["x-collegium-experts"] == "fine"
        usage = stated.json()["usage"]
        assert (usage["cost"], usage["prompt_tokens_details"]) == (COST, {"cached_tokens": 32})
        assert usage["completion_tokens_details"] == {"reasoning_tokens": 2}
        priced = (await ask(client, "no-usage")).json()["usage"]
        assert priced["cost"] == priced["completion_tokens"]  # no usage: tokens are counted here
        both = await ask(client, "vote", collegium={"kind": "yesno"})
        cost = float(both.headers["x-collegium-cost"])
        assert cost == pytest.approx(2 * COST + priced["completion_tokens"])
        assert set(both.headers["x-collegium-experts"].split(", ")) == {"fine", "no-usage", "whole"}
        again = await ask(client, "vote", collegium={"kind": "yesno"})
        assert float(again.headers["x-collegium-cost"]) == 0.0  # all from the ledger


async def test_one_unset_key_stops_one_expert(far: Any, serving: Any) -> None:
    settings = far("fine", "whole")
    settings["experts"]["fine"]["api_key_env"] = "NOT_SET_ANYWHERE"
    async with serving(settings) as client:
        response = await ask(client, "fine")
        assert (response.status_code, error_of(response)["code"]) == (503, "expert_unavailable")
        assert "NOT_SET" not in error_of(response)["message"]
        assert (await ask(client, "mixture")).status_code == 200
        assert (await ask(client, "whole")).status_code == 200
