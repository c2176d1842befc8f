"""Messages, as old and other clients write them."""

from __future__ import annotations

from typing import Any

from orchestrator.chats.chat_body import ChatBody

HELLO = [{"role": "user", "content": "Which word?"}]

FUNCTION = {"name": "look", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}}

TOOL = {"type": "function", "function": FUNCTION}


def read(**body: Any) -> ChatBody:
    return ChatBody.model_validate({"model": "m", "messages": HELLO, **body})


def turns(*messages: dict[str, Any], **body: Any) -> ChatBody:
    return read(messages=[*HELLO, *messages], **body)


def test_old_clients_functions_are_tools() -> None:
    chat = turns(
        {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}},
        {"role": "function", "name": "look", "content": "1"},
        functions=[FUNCTION],
        function_call={"name": "look"},
    )
    assert [tool.function.name for tool in chat.offered_tools] == ["look"]
    call, result = chat.turns[1]["tool_calls"][0], chat.turns[2]
    assert call["function"] == {"name": "look", "arguments": "{}"}
    assert result["tool_call_id"] == call["id"]
    assert not isinstance(chat.tool_choice, str)


def test_results_without_ids_belong_to_the_calls_in_their_order() -> None:
    called = {"role": "assistant", "tool_calls": [{"id": "", "function": {"name": n, "arguments": "{}"}} for n in "ab"]}
    results = [{"role": "tool", "tool_call_id": "", "content": str(number)} for number in (1, 2)]
    chat = turns(called, *results, tools=[TOOL])
    ids = [call["id"] for call in chat.turns[1]["tool_calls"]]
    assert len(set(ids)) == 2
    assert [chat.turns[place]["tool_call_id"] for place in (2, 3)] == ids


def test_a_reply_of_the_official_client_can_be_sent_back() -> None:
    from openai.types.chat import ParsedChatCompletionMessage

    parsed = ParsedChatCompletionMessage[None].model_validate(
        {"role": "assistant", "content": None, "refusal": "No.", "annotations": [], "parsed": None, "tool_calls": None}
    )
    assert turns(parsed.model_dump(), *HELLO).conversation[1] == ("assistant", "No.")
