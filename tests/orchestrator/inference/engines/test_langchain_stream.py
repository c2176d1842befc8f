"""A LangChain chat model as a source of deltas."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from orchestrator.inference.engines.remote import RemoteEngine
from orchestrator.inference.engines.tools import ParsedCall, parse_calls
from orchestrator.inference.expert import Expert, RemoteModel
from orchestrator.inference.tool_history import ToolHistory
from tests.scripts.upstream_streams import EXPERT, finish, only, request


def fake_model() -> Any:
    from langchain_core.language_models import FakeListChatModel

    return FakeListChatModel(responses=["one two three"])


def test_a_langchain_chat_model_answers_too() -> None:
    by_path = Expert("near", "far", "near", remote=RemoteModel(f"langchain:{__name__}:fake_model", "fake"))
    by_object = Expert("near", "far", "near", remote=RemoteModel("", "fake"))
    for engine, expert in ((RemoteEngine(), by_path), (RemoteEngine(chat_models={"fake": fake_model()}), by_object)):
        engine.load(expert)
        deltas = only(engine, request())
        assert "".join(delta.text for delta in deltas) == "one two three"
        assert len(deltas) > 3
        assert deltas[-1].finish_reason == "stop"
        engine.close()


def test_a_langchain_model_is_given_tools() -> None:
    from langchain_core.language_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage

    bound: list[Any] = []

    class Calling(GenericFakeChatModel):
        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
            bound.extend(tools)
            return self

        def _stream(self, *_: Any, **__: Any) -> Any:
            call = {"name": "weather", "args": '{"city": "Ulm"}', "id": "c", "index": 0}
            yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[call]))

    model = Calling(messages=iter([AIMessage("unused")]))
    engine = RemoteEngine(chat_models={"model": model})
    try:
        engine.load(EXPERT)
        definition = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
        (deltas,) = finish(engine, request(tools=ToolHistory([definition]))).values()
    finally:
        engine.close()
    assert bound == [definition]
    assert parse_calls("".join(delta.text for delta in deltas), {"weather"})[1] == [
        ParsedCall("weather", '{"city": "Ulm"}')
    ]
