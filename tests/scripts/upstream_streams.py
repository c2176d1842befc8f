"""Requests to a remote engine, answered to their last delta."""

from __future__ import annotations

import time
from typing import Any

from orchestrator.inference.engines.remote import RemoteEngine
from orchestrator.inference.expert import Expert, RemoteModel
from orchestrator.inference.request import Delta, Request, Sampling, request_key

EXPERT = Expert("far", "far", "far", remote=RemoteModel("http://server/v1/", "model", "FAR_KEY", concurrency=2))


def request(text: str = "hi", **sampling: Any) -> Request:
    wanted = Sampling(**{"max_tokens": 8, **sampling})
    messages = (("user", text),)
    return Request(request_key("far", messages, wanted, 0), "far", messages, wanted, stream=True)


def finish(engine: RemoteEngine, *requests: Request) -> dict[str, list[Delta]]:
    for each in requests:
        engine.add(each, EXPERT)
    deltas: dict[str, list[Delta]] = {each.key: [] for each in requests}
    until = time.monotonic() + 20
    while not all(got and got[-1].last for got in deltas.values()):
        assert time.monotonic() < until, deltas
        for delta in engine.step():
            deltas[delta.key].append(delta)
    return deltas


def only(engine: RemoteEngine, asked: Request) -> list[Delta]:
    return finish(engine, asked)[asked.key]
