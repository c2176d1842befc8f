"""Which models a server offers, and which of them is meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from orchestrator.errors import CollegiumError, ExpertError, UpstreamRefused
from orchestrator.inference.engines.discovery import MAX_BYTES, chosen_model, models
from orchestrator.inference.expert import RemoteModel

REMOTE = RemoteModel("https://api.example/v1?api-version=3", "")


def reply(body: bytes) -> httpx.Response:
    return httpx.Response(200, content=iter([body]))


def asked(reply: httpx.Response, seen: list[Any] | None = None) -> list[str]:
    def handler(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        return reply

    return models(REMOTE, httpx.MockTransport(handler))


def test_the_list_lies_beside_chat_completions_and_a_query_stays() -> None:
    seen: list[Any] = []
    assert asked(reply(b'{"data": [{"id": "small"}, {"id": "large"}]}'), seen) == ["small", "large"]
    assert str(seen[0].url) == "https://api.example/v1/models?api-version=3"


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"data": 3}', b"[" * 100_000])
def test_what_is_no_list_is_said(body: bytes) -> None:
    with pytest.raises(ExpertError, match="sent no list of models; name the model with --model"):
        asked(reply(body))


def test_an_endless_list_is_left_and_a_refusal_has_its_type() -> None:
    read: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            read.append(1)
            yield b" " * 2**20

    with pytest.raises(ExpertError, match="larger than"):
        asked(httpx.Response(200, content=endless()))
    assert len(read) <= MAX_BYTES / 2**20 + 2
    with pytest.raises(CollegiumError) as caught:
        asked(httpx.Response(401))
    assert isinstance(caught.value, UpstreamRefused)


def test_the_only_model_is_meant_and_a_name_nearby_is_suggested() -> None:
    assert chosen_model(REMOTE, None, ["one"]) == "one"
    assert chosen_model(REMOTE, "two", ["one", "two"]) == "two"
    with pytest.raises(ExpertError, match="choose one with --model: one, two"):
        chosen_model(REMOTE, None, ["one", "two"])
    with pytest.raises(ExpertError, match="no model 'gpt-5-min'; did you mean 'gpt-5-mini'"):
        chosen_model(REMOTE, "gpt-5-min", ["gpt-5-mini", "other"])
