"""Tools are part of what identifies a request, whatever the order of their keys."""

from __future__ import annotations

from orchestrator.inference.request import Sampling, request_key
from orchestrator.inference.tool_history import ToolHistory

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
TOOLS = ToolHistory([WEATHER], "auto", None, {1: {"tool_calls": [CALL]}})
QUESTION = (("user", "x"),)


def test_keys_of_the_ledger_stay_what_they_were() -> None:
    plain, with_tools = Sampling(), Sampling(tools=TOOLS)
    assert request_key("f", QUESTION, plain) == "95c9b0439655df46733666661a228cfea85b2e4e2ab744f6b91104125c1443b8"
    assert request_key("f", QUESTION, with_tools) == "43ca6bb290da54419e19007ee5e06c6de6cc2a257cb7440a30a7b4b1940b9aa4"


def test_equal_tools_are_one_request_and_other_tools_another() -> None:
    function = dict(reversed(WEATHER["function"].items()))  # type: ignore[attr-defined]
    again = ToolHistory([dict(reversed({**WEATHER, "function": function}.items()))], "auto", None, TOOLS.turns)
    assert hash(again) == hash(TOOLS)
    assert len({Sampling(tools=again), Sampling(tools=TOOLS)}) == 1
    for other in (ToolHistory([WEATHER], "none", None, TOOLS.turns), ToolHistory([WEATHER], "auto")):
        assert request_key("f", QUESTION, Sampling(tools=other)) != request_key("f", QUESTION, Sampling(tools=TOOLS))
    assert TOOLS.names == {"weather"}
