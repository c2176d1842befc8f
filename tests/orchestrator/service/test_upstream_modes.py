"""Every way in which an expert's server misbehaves, asked alone, by a mixture, in a vote and in a discussion, streamed
and whole: what the client gets, and what the operator's log says."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.chats import expert_health
from orchestrator.inference.engines import admission, openai_stream
from router.row import Row
from router.table import Table
from tests.scripts.misbehaving import STATUSES, Misbehaving, misbehaving
from tests.scripts.odd_replies import ANSWERS, FAILURES

KEY = "sk-upstream-0123456789"
REFUSED, BROKEN, GONE = (502, "upstream_refused"), (502, "upstream_error"), (502, "upstream_unreachable")
LATE, BUSY, LIMITED = (504, "upstream_timeout"), (503, "upstream_busy"), (429, "rate_limit_exceeded")
FAILS = {
    **dict.fromkeys(("bad-request", "never-renamed", "bad-key", "unpaid", "forbidden", "gone", "no-quota"), REFUSED),
    **dict.fromkeys(("redirect",), REFUSED),
    **dict.fromkeys(("too-large", "too-long"), (400, "context_length_exceeded")),
    **dict.fromkeys(("filtered",), (400, "content_filter")),
    **dict.fromkeys(("slow-client", "late", "hang", "pings"), LATE),
    **dict.fromkeys(("limited", "limited-long"), LIMITED),
    **dict.fromkeys(("restarting", "overloaded"), BUSY),
    **dict.fromkeys(("broken", "bad-gateway", "html", "half-json", "not-text", "list", "bomb", "error-200"), BROKEN),
    **dict.fromkeys(("role-only", "huge-line", "no-choices"), BROKEN),
    **dict.fromkeys(("refused", "reset"), GONE),
    **FAILURES,
}
"""Mode -> (status, code) that the client of this expert alone gets."""
CUT = {"cut": GONE, "stops": GONE, "error-event": BROKEN}
"""The same of those that begin a reply: a stream has begun then, and its error is an event."""
ANSWER = ("fine", "whole", "thinks", "no-usage", "no-done", "negative-usage", "unknown-finish", "null-finish", "slow")
ANSWER = (*ANSWER, "renames", "short-replies", "fixed-temperature", *ANSWERS)
CLASSES = {
    "upstream_refused": "UpstreamRefused",
    "upstream_error": "UpstreamError",
    "upstream_unreachable": "Unreachable",
    "upstream_timeout": "UpstreamTimeout",
    "upstream_busy": "UpstreamBusy",
    "rate_limit_exceeded": "RateLimited",
    "content_filter": "ContentFiltered",
    "context_length_exceeded": "PromptTooLong",
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Misbehaving]:
    with misbehaving() as server:
        server.pause = 0.02
        yield server


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every chat asks the expert again, however often it failed."""
    monkeypatch.setattr(admission, "TRIES", 1000)
    monkeypatch.setattr(admission, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(openai_stream, "ALIVE", 1.5)
    monkeypatch.setattr(expert_health, "TROUBLES", 1000)
    monkeypatch.setenv("UPSTREAM_KEY", KEY)


@pytest.fixture
def zoo(settings: dict[str, Any], upstream: Misbehaving, patient: None) -> Any:
    """The configuration with these models as experts, ranked in this order."""

    def configure(*models: str) -> dict[str, Any]:
        common = {"api_key_env": "UPSTREAM_KEY", "tries": 1}
        urls = {model: "http://127.0.0.1:9/v1" if model == "refused" else upstream.url for model in models}
        rows = [
            Row(f"q{n}", f"Is it so, number {n}?", {m: float(n % (1 + place) == 0) for place, m in enumerate(models)})
            for n in range(30)
        ]
        profile = Path(settings["state"]).parent / "profile.jsonl"
        Table.from_rows(rows, models).write(profile)
        service = {"log": "none", "profile": str(profile), "router": "best", "hedge_seconds": 1.0}
        # A busy machine must not make a quick server late; only those that should be late are given up soon.
        seconds = {model: 0.5 if FAILS.get(model) == LATE or model in CUT else 20.0 for model in models}
        experts = {model: {"url": urls[model], "model": model, "timeout": seconds[model], **common} for model in models}
        return {**settings, "experts": experts, "service": service}

    return configure


class Reply:
    """What a client reads of a response, in either form."""

    def __init__(self, response: httpx.Response) -> None:
        self.status, self.body = response.status_code, response.text
        self.headers = response.headers
        events: list[dict[str, Any]] = []
        if response.headers["content-type"].startswith("text/event-stream"):
            events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
            deltas = [event["choices"][0]["delta"] for event in events if event.get("choices")]
            self.text = "".join(delta.get("content") or "" for delta in deltas)
        else:
            body = response.json()
            self.text = body["choices"][0]["message"]["content"] if "choices" in body else ""
            events = [body]
        errors = [event["error"] for event in events if "error" in event]
        self.error: dict[str, Any] = errors[0] if errors else {}


async def ask(client: httpx.AsyncClient, model: str, stream: bool, kind: str = "yesno") -> Reply:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "Is it so?"}],
        "stream": stream,
        "collegium": {"kind": kind},
    }
    return Reply(await client.post("/v1/chat/completions", json=body))


def check_error(reply: Reply, upstream: Misbehaving) -> None:
    """A person reads one sentence, without an address, a key, or what the server said."""
    message = reply.error["message"]
    assert 20 < len(message) < 200
    assert "\n" not in message
    for secret in (upstream.url, "127.0.0.1", KEY, *(text for _, text in STATUSES.values())):
        assert secret not in message


@pytest.mark.parametrize("mode", [*FAILS, *CUT])
async def test_a_server_that_fails(
    mode: str, zoo: Any, serving: Any, upstream: Misbehaving, caplog: pytest.LogCaptureFixture
) -> None:
    status, code = FAILS.get(mode) or CUT[mode]
    async with serving(zoo(mode, "fine")) as client:
        for stream in (False, True):
            caplog.clear()
            with caplog.at_level(logging.INFO, logger="collegium"):
                alone = await ask(client, mode, stream)
            begun = stream and mode in (*CUT, "blank", "only-thoughts")
            assert (alone.status, alone.error["code"]) == (200 if begun else status, code)
            check_error(alone, upstream)
            (line,) = [one.getMessage() for one in caplog.records if one.getMessage().startswith("request ")]
            id = alone.headers["x-request-id"]
            assert line.startswith(f"request {id}: expert {mode}: {CLASSES[code]}")
            assert line.endswith("; sent in the stream" if begun else f"; answered {status}")
            assert KEY not in line
            for model, kind in (("mixture", "open"), ("mixture", "yesno"), ("vote", "yesno"), ("reconcile", "yesno")):
                together = await ask(client, model, stream, kind)
                assert (together.status, together.error) == (200, {}), (model, kind, stream)
                assert "Answer: yes" in together.text, (model, kind, stream)


@pytest.mark.parametrize("mode", ANSWER)
async def test_a_server_that_is_odd_and_answers(mode: str, zoo: Any, serving: Any) -> None:
    async with serving(zoo(mode, "fine")) as client:
        for stream in (False, True):
            for model, kind in ((mode, "open"), ("mixture", "open"), ("vote", "yesno"), ("reconcile", "yesno")):
                reply = await ask(client, model, stream, kind)
                assert (reply.status, reply.error) == (200, {}), (model, stream)
                assert reply.text.count("Answer: yes") == 1, (model, stream)
                assert "Answer: no" not in reply.text


@pytest.mark.parametrize("model", ["mixture", "vote", "reconcile", "best"])
@pytest.mark.parametrize("stream", [False, True])
async def test_where_all_fail_each_in_its_own_way(model: str, stream: bool, zoo: Any, serving: Any) -> None:
    async with serving(zoo("role-only", "cut", "blank", "content-null", "bad-key")) as client:
        reply = await ask(client, model, stream, "open" if model == "mixture" else "yesno")
    assert (reply.status, reply.error["code"]) == (503, "no_expert_answered"), reply.body
    assert int(reply.headers["retry-after"]) >= 1
