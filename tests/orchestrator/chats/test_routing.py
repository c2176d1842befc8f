"""Who is asked: whom a question suits."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.chats import routing
from orchestrator.chats.routing import Routing
from orchestrator.collegium import Collegium
from orchestrator.evaluation.discussing import UNFITTED, PanelFit
from orchestrator.evaluation.methods import discussion
from router.embedding import Embedder, EmbedderFailed

USER = [{"role": "user", "content": "Which word?"}]


async def post(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await client.post("/v1/chat/completions", json={"model": "words", "messages": USER, **body})


async def test_mixture_goes_to_whom_the_question_suits(profiled: dict[str, Any], serving: Any) -> None:
    async with serving(profiled) as client:
        for text, expert in (("Is the coin up?", "coins"), ("Which word?", "words")):
            reply = (await post(client, model="mixture", messages=[{"role": "user", "content": text}])).json()
            assert reply["collegium"]["experts"] == [expert]
            assert reply["collegium"]["ranking"][0]["expert"] == expert
        counted = await post(client, model="mixture", collegium={"kind": "text", "recruit": 2})
        told = counted.json()["collegium"]
        assert told["answer"] == "a"
        assert told["calls"] == 2
        assert {group["answer"]: group["experts"] for group in told["votes"]} == {"a": ["words"], "nothing": ["coins"]}
        route = (await client.post("/v1/route", json={"questions": ["Is the coin up?", "Which word?"]})).json()
        assert [ranking["ranking"][0]["expert"] for ranking in route["data"]] == ["coins", "words"]
        assert route["data"][0]["evidence"]
        for _ in range(60):
            judged = {"question": "Is the coin up?", "expert": "words", "score": 1}
            assert (await client.post("/v1/feedback", json=judged)).status_code == 200
        assert (await client.post("/v1/feedback", json={**judged, "expert": "x"})).status_code == 400


async def test_what_is_unlike_the_profile_goes_to_the_default_expert(profiled: dict[str, Any], serving: Any) -> None:
    for default in ("coins", "words"):
        profiled["service"]["default"] = default
        async with serving(profiled) as client:
            asked = [{"role": "user", "content": "Hello! Who are you?"}]
            told = (await post(client, model="mixture", messages=asked)).json()["collegium"]
            assert told["experts"] == [default]
            assert told["evidence"][0]["kind"] == "default"
            assert "unlike every profiled question" in told["evidence"][0]["label"]
            known = (await post(client, model="mixture")).json()["collegium"]
            assert known["experts"] == ["words"]
            assert "default" not in {one["kind"] for one in known["evidence"]}


async def test_a_long_system_prompt_does_not_hide_what_is_asked(profiled: dict[str, Any], serving: Any) -> None:
    system = {"role": "system", "content": "You are the assistant of a furniture shop. Be friendly and exact. " * 30}
    async with serving(profiled) as client:
        for text, expert in (("Is the coin up?", "coins"), ("Which word?", "words")):
            asked = [system, {"role": "user", "content": text}]
            assert (await post(client, model="mixture", messages=asked)).json()["collegium"]["experts"] == [expert]


async def test_an_embedder_that_does_not_work_is_the_servers_fault(
    profiled: dict[str, Any], serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any) -> Any:
        raise EmbedderFailed("/srv/model: no such file")

    async with serving(profiled) as client:
        assert (await post(client, model="mixture")).status_code == 200
        monkeypatch.setattr(Embedder, "asked_within", gone)
        refused = await post(client, model="mixture")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_installed")
        assert "/srv" not in refused.text
        assert (await post(client, model="words")).status_code == 200


async def test_a_profile_of_this_moment_is_used_at_once(
    settings: dict[str, Any], profiled: dict[str, Any], serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Path(profiled["service"].pop("profile"))
    profile = table.with_name("later.jsonl")
    profiled["service"]["profile"] = str(profile)
    monkeypatch.setattr(routing, "LOOK", 3600.0)
    monkeypatch.setattr(routing, "FIRST", 60.0)
    async with serving(profiled) as client:
        refused = await post(client, model="mixture")
        assert refused.status_code == 409
        assert "no profile of the experts yet" in refused.text
        profile.write_bytes(table.read_bytes())
        answered = await post(client, model="mixture")
        assert (answered.status_code, answered.json()["collegium"]["experts"]) == (200, ["words"])


@pytest.mark.parametrize("warm", [False, True])
async def test_what_discussions_take_from_a_profile_is_fitted_once_beside_the_loop(
    profiled: dict[str, Any], configure: Any, monkeypatch: pytest.MonkeyPatch, warm: bool
) -> None:
    fits: list[str] = []

    def fit(*_: Any) -> PanelFit:
        fits.append(threading.current_thread().name)
        return UNFITTED

    for module in (routing, discussion):
        monkeypatch.setattr(module, "fit_panel", fit)
    with Collegium(configure(profiled)) as collegium:
        found = Routing(collegium, warm=warm)
        found.open()
        try:
            await found.looked()
            assert len(fits) == int(warm)
            first = await found.profiled()
            for _ in range(3):
                await asyncio.gather(*(discussion.panel_fit(first, ["words", "coins"], "stated") for _ in range(4)))
            assert len(fits) == 1
            assert threading.current_thread().name not in fits
            before = (await found.mixture()).origin.version
            await found.learn("Which word?", "words", 1.0, [])
            while (await found.mixture()).origin.version == before:
                await asyncio.sleep(0.05)
            assert (await found.profiled()).fits is first.fits, "feedback leaves it as it is"
        finally:
            await found.close()
