"""A pool as one chat's experts see it: the conversation before each prompt, every reply counted, slow ones left."""

from __future__ import annotations

import asyncio
from typing import Any

from orchestrator.chats.chat_pool import ChatPool
from orchestrator.chats.chat_turns import chat_turns
from orchestrator.errors import CollegiumError, ExpertFailed, UpstreamTimeout
from orchestrator.inference.expert import Expert, RemoteModel
from orchestrator.inference.request import Completion, Request, Sampling

NEAR = Expert("near", "f", "s")
FAR = Expert("far", "f", "s", remote=RemoteModel("http://x", "m"))
HISTORY = (("user", "Hello."), ("assistant", "Hi!"))
TURNS = chat_turns((*HISTORY, ("user", "Why?")), {}, tools=False)


class Behind:
    """Takes what it is given; answers at once, fails, or takes a while, as the prompt says."""

    def request(self, expert: Expert, messages: Any, sampling: Sampling, **more: Any) -> Request:
        return Request("k", expert.name, tuple(messages), sampling, max_wait=more["max_wait"], stream=more["stream"])

    async def ask(self, calls: Any) -> list[Any]:
        ((request, _),) = calls
        text = request.messages[-1][1]
        if "slow" in text:
            await asyncio.sleep(5)
        return [ExpertFailed("gone") if "fail" in text else Completion("k", text, "stop", 1, 1)]


def pool(heard: list[Any] | None = None, **settings: Any) -> ChatPool:
    heard = [] if heard is None else heard

    def failed(name: str, error: CollegiumError) -> None:
        heard.append((name, type(error)))

    def replied(name: str, reply: Completion) -> None:
        heard.append((name, reply.text))

    return ChatPool(Behind(), TURNS, 3.0, replied, failed, reply_seconds=0.05, **settings)  # type: ignore[arg-type]


def test_a_prompt_that_states_the_question_has_the_conversation_before_it() -> None:
    request = pool().request(NEAR, [("user", "Tell me: Why?")], Sampling())
    assert request.messages == (*HISTORY, ("user", "Tell me: Why?"))
    assert request.max_wait == 3.0
    assert pool().request(NEAR, [("user", "Why?")], Sampling(), max_wait=1.0).max_wait == 1.0


def test_a_methods_own_prompt_is_left_alone() -> None:
    request = pool().request(NEAR, [("user", "1 + 1?")], Sampling())
    assert (request.messages, request.max_wait) == ((("user", "1 + 1?"),), None)


def test_a_local_experts_reply_that_repeats_itself_is_cut_unless_the_chat_says_otherwise() -> None:
    cutting, asked = pool(repetition=(64, 4, 10)), [("user", "Why?")]
    assert cutting.request(NEAR, asked, Sampling()).sampling.repetition == (64, 4, 10)
    assert cutting.request(NEAR, asked, Sampling(repetition=(3, 1, 6))).sampling.repetition == (3, 1, 6)
    assert cutting.request(FAR, asked, Sampling()).sampling.repetition is None
    assert cutting.request(NEAR, [("user", "1 + 1?")], Sampling()).sampling.repetition is None
    assert pool().request(NEAR, asked, Sampling()).sampling.repetition is None


async def test_every_reply_and_every_failure_is_counted() -> None:
    heard: list[Any] = []
    calls = [(Request("k", "near", (("user", text),), Sampling()), NEAR) for text in ("a", "fail")]
    await pool(heard).ask(calls)
    assert heard == [("near", "a"), ("near", ExpertFailed)]


async def test_a_remote_expert_that_takes_too_long_has_failed() -> None:
    heard: list[Any] = []
    (outcome,) = await pool(heard).ask([(Request("k", "far", (("user", "slow"),), Sampling()), FAR)])
    assert isinstance(outcome, UpstreamTimeout)
    assert "'far': no reply within 0.05 s" in str(outcome)
    assert heard == [("far", UpstreamTimeout)]
