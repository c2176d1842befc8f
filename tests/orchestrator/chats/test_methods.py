"""Methods as models of a chat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.chats.asking import REPETITION
from orchestrator.evaluation.profile import AskingRequest
from orchestrator.inference.request import Sampling
from orchestrator.inference.schedule.pool import LocalPool
from tests.scripts.one_question import USER, events, post


@pytest.mark.parametrize("model", ["vote", "reconcile", "debate", "self-consistency", "moa", "mixture", "best"])
async def test_an_open_chat_has_no_forms_of_an_examination(
    settings: dict[str, Any], profiled: dict[str, Any], serving: Any, tmp_path: Path, model: str
) -> None:
    (tmp_path / "plain.py").write_text(
        "def reply(messages, seed):\n"
        "    text = messages[-1][1]\n"
        "    return 'FORM' if 'Answer: <' in text or 'Confidence' in text else 'Hello, I am an assistant.'\n"
    )
    settings["experts"] = {name: {"script": "plain:reply"} for name in ("words", "coins")}
    async with serving(settings) as client:
        reply = (await post(client, model=model, messages=[{"role": "user", "content": "Who are you?"}])).json()
        assert reply["choices"][0]["message"]["content"] == "Hello, I am an assistant."


@pytest.mark.parametrize("model", ["vote", "reconcile", "single", "best", "mixture"])
async def test_stop_and_the_reason_of_the_end_are_kept_under_every_method(
    profiled: dict[str, Any], serving: Any, model: str
) -> None:
    async with serving(profiled) as client:
        whole = (await post(client, model=model)).json()["choices"][0]
        assert whole["finish_reason"] == "stop"
        cut = (await post(client, model=model, max_tokens=2)).json()["choices"][0]
        assert cut["finish_reason"] == "length"
        stopped = (await post(client, model=model, stop="Answer")).json()["choices"][0]
        assert "Answer" in whole["message"]["content"]
        assert "Answer" not in stopped["message"]["content"]


@pytest.mark.parametrize(
    ("model", "said", "cut"),
    [
        ("reconcile", {}, True),
        ("vote", {"collegium": {"kind": "text"}}, True),
        ("reconcile", {"max_tokens": 50}, False),
        ("reconcile", {"max_completion_tokens": 50}, False),
        ("fusion", {}, False),  # it writes what the reader asked for, be it the same a hundred times
        ("mixture", {}, False),
    ],
)
async def test_a_member_that_repeats_itself_is_cut_where_the_client_bounds_no_reply(
    profiled: dict[str, Any],
    serving: Any,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    said: dict[str, Any],
    cut: bool,
) -> None:
    asked: list[Sampling] = []
    request = LocalPool.request

    def noted(self: LocalPool, expert: Any, messages: Any, sampling: Sampling, **more: Any) -> Any:
        asked.append(sampling)
        return request(self, expert, messages, sampling, **more)

    monkeypatch.setattr(LocalPool, "request", noted)
    async with serving(profiled) as client:
        assert (await post(client, model=model, **said)).status_code == 200
    found = {sampling.repetition for sampling in asked if sampling.max_tokens != AskingRequest().max_tokens}
    assert found == {REPETITION if cut else None}


@pytest.mark.parametrize("model", ["vote", "reconcile", "debate", "self-consistency"])
async def test_discussions_answer_within_the_conversation_and_tell_as_they_go(
    client: httpx.AsyncClient, model: str
) -> None:
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which word?"}]
    reply = (await post(client, model=model, messages=asked, collegium={"kind": "text", "explain": True})).json()
    told = reply["collegium"]
    assert told["method"] == model
    assert told["transcript"]["question"]["question"] == "Which word?"
    assert reply["usage"]["completion_tokens"] >= 5
    assert reply["choices"][0]["message"]["content"]
    streamed = await events(client, model=model, messages=asked, collegium={"kind": "text"})
    heard = [event["collegium"]["event"] for event in streamed if "event" in event.get("collegium", {})]
    assert len(heard) == told["calls"]
    assert streamed[-1]["collegium"]["answer"] == told["answer"]
    assert "transcript" not in streamed[-1]["collegium"]


async def test_the_conversation_reaches_the_experts_of_a_discussion(client: httpx.AsyncClient) -> None:
    asked = [{"role": "system", "content": "Be brief."}, *USER, {"role": "assistant", "content": "a"}]
    history = [*asked, {"role": "user", "content": "And another word?"}]
    with_it = (await post(client, model="vote", messages=history, collegium={"kind": "text"})).json()
    without = (await post(client, model="vote", messages=history[-1:], collegium={"kind": "text"})).json()
    # Each of the two experts reads "Be brief.", "Which word?" and "a", five words, besides.
    assert with_it["usage"]["prompt_tokens"] - without["usage"]["prompt_tokens"] == 2 * 5


async def test_symbolic_moe_costs_at_most_two_calls_beyond_the_recruited(
    profiled: dict[str, Any], serving: Any
) -> None:
    async with serving(profiled) as client:
        for text in ("Which word?", "Is the coin up?", "Which word is it?"):
            asked = [{"role": "user", "content": text}]
            told = (await post(client, model="symbolic-moe", messages=asked, collegium={"kind": "text"})).json()
            recruited = {name for vote in told["collegium"]["votes"] for name in vote["experts"]}
            assert len(recruited) == 2
            assert told["collegium"]["calls"] <= len(recruited) + 2


async def test_methods_that_need_a_profile_have_it(profiled: dict[str, Any], serving: Any) -> None:
    async with serving(profiled) as client:
        for model in ("best", "reconcile", "weighted-vote", "symbolic-moe"):
            reply = await post(client, model=model, collegium={"kind": "text"})
            assert reply.status_code == 200, (model, reply.text)
            assert reply.json()["collegium"]["method"] == model
