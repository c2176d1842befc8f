"""A chat's last user turn, and what stands around it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.chats.chat_turns import MAX_QUESTION, chat_turns
from orchestrator.errors import RequestError

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": json.dumps({"x": 1})}}
TALK = [("system", "Be brief."), ("user", "Hello."), ("assistant", "Hi!"), ("user", "Why?")]


def test_a_plain_chat_has_its_history_before_the_question() -> None:
    found = chat_turns(TALK, {}, tools=False)
    assert (found.question, found.history, found.before) == ("Why?", tuple(TALK[:3]), tuple(TALK[:3]))
    assert (found.of_tools, found.tool_rounds) == (False, 0)
    assert chat_turns(TALK, {}, tools=True).of_tools


def test_calls_since_the_question_stand_before_every_further_prompt_as_texts() -> None:
    whole = [*TALK, ("assistant", ""), ("tool", "It is."), ("assistant", ""), ("tool", "Still.")]
    fields: dict[int, Any] = {n: {"tool_calls": [CALL]} for n in (4, 6)} | {n: {"tool_call_id": "c"} for n in (5, 7)}
    found = chat_turns(whole, fields, tools=True)
    assert (found.question, found.tool_rounds, found.whole) == ("Why?", 2, tuple(whole))
    assert {role for role, _ in found.before} == {"system", "user", "assistant"}
    assert "It is." in found.before[5][1]
    assert found.before[3] == ("user", "Why?")


def test_calls_of_an_earlier_turn_do_not_count_as_rounds_of_this_one() -> None:
    whole = [("user", "One?"), ("assistant", ""), ("tool", "1"), ("assistant", "One."), ("user", "Two?")]
    found = chat_turns(whole, {1: {"tool_calls": [CALL]}, 2: {"tool_call_id": "c"}}, tools=False)
    assert (found.question, found.tool_rounds, len(found.before)) == ("Two?", 0, 4)
    assert found.of_tools


@pytest.mark.parametrize(
    "messages",
    [[("system", "x")], [("user", " ")], [("user", "a"), ("assistant", "b")], [("user", "a" * (MAX_QUESTION + 1))]],
    ids=["nobody", "empty", "assistant last", "long"],
)
def test_a_chat_without_a_question_is_refused(messages: Any) -> None:
    with pytest.raises(RequestError, match="messages: "):
        chat_turns(messages, {}, tools=False)
