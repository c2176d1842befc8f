"""Replies on the way to one answer: counted once, told once, and the reason of the end found again."""

from __future__ import annotations

import json

from orchestrator.chats.chat_events import ProgressEvent, TextEvent
from orchestrator.chats.expert_health import ExpertHealth
from orchestrator.chats.reply_events import ReplyEvents, shown_reply
from orchestrator.errors import UpstreamError
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Completion

EXPERTS = {"a": Expert("a", "f", "s"), "b": Expert("b", "f", "s")}


def test_a_streamed_reply_is_counted_but_not_told_again() -> None:
    told = ReplyEvents(ExpertHealth(), EXPERTS)
    told.reply("a", Completion("k", "One.", "stop", 3, 2))
    told.text("Tw")
    told.streamed_reply("b", Completion("k", "Two.", "length", 5, 4))
    events = [told.events.get_nowait() for _ in range(told.events.qsize())]
    assert events == [ProgressEvent({"expert": "a", "reply": 1, "text": "One."}), TextEvent("Tw")]
    account = told.account({})
    assert told.streamed
    assert (account.prompt_tokens, account.completion_tokens) == (8, 6)
    assert account.explanation is not None
    assert account.explanation["calls"] == 2
    assert (told.finish_reason("Two."), told.finish_reason("One."), told.finish_reason("?")) == (
        "length",
        "stop",
        "stop",
    )


def test_who_failed_is_explained() -> None:
    told = ReplyEvents(ExpertHealth(), EXPERTS)
    told.failure("b", UpstreamError("down"))
    assert told.account({}).explanation == {
        "experts": [], "calls": 0, "cached_calls": 0, "failed": {"b": UpstreamError.code},
    }  # fmt: skip


def test_an_analysis_is_shown_line_by_line_and_all_else_as_it_is() -> None:
    found = json.dumps({"consensus": ["Rain."], "unique": [{"reply": 2, "point": "A coat."}]})
    assert shown_reply(found) == "- All agree: Rain.\n- Only [2] has: A coat."
    for text in ("{ not JSON", '{"answer": 1}', "plain", '{"consensus": []}'):
        assert shown_reply(text) == text
