"""LangChain's messages as experts receive them."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from orchestrator.errors import RequestError
from orchestrator.inference.chat_messages import openai_messages, prompt_messages, tool_calls, tool_turns

CALL = {"name": "f", "args": {"x": 1}, "id": "c", "type": "tool_call"}
TALK = [
    SystemMessage("Brief."),
    HumanMessage("Hi."),
    AIMessage("", tool_calls=[CALL]),
    ToolMessage("3", tool_call_id="c", name="f"),
]


def test_calls_and_results_stand_beside_the_texts() -> None:
    assert prompt_messages(TALK) == (("system", "Brief."), ("user", "Hi."), ("assistant", ""), ("tool", "3"))
    turns = tool_turns(TALK)
    assert turns[2]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"x": 1}'}
    assert turns[3] == {"tool_call_id": "c", "name": "f"}
    assert openai_messages(TALK)[3] == {"role": "tool", "content": "3", "tool_call_id": "c", "name": "f"}


def test_calls_in_a_reply_are_those_of_offered_tools() -> None:
    text = 'So. <tool_call>{"name": "f", "arguments": {"x": 1}}</tool_call><tool_call>{"name": "f"}</tool_call>'
    rest, calls = tool_calls(text, {"f"})
    assert rest == "So."
    assert [(call["name"], call["args"]) for call in calls] == [("f", {"x": 1}), ("f", {})]
    assert len(tool_calls(text, {"f"}, single=True)[1]) == 1
    assert tool_calls(text, {"g"}) == (text, [])
    assert tool_calls(text, ()) == (text, [])


def test_pictures_are_refused() -> None:
    with pytest.raises(RequestError, match="image_url"):
        prompt_messages([HumanMessage([{"type": "image_url", "image_url": {"url": "x"}}])])
