"""Calls of tools as text and back, and how conversations with tools are told to models and servers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.inference.engines.tools import ParsedCall, begins, format_calls, parse_calls, plain_messages
from orchestrator.inference.request import PromptMessage
from orchestrator.inference.tool_history import ToolHistory

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CALLED = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}
TOOLS = ToolHistory([WEATHER], turns={1: {"tool_calls": [CALLED]}, 2: {"tool_call_id": "c1"}})
TURNS: list[PromptMessage] = [("user", "Rain?"), ("assistant", ""), ("tool", "no")]
ULM = [ParsedCall("weather", '{"city": "Ulm"}')]

objects = st.dictionaries(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5))


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ('<tool_call>\n{"name": "weather", "arguments": {"city": "Ulm"}}\n</tool_call>', ""),
        ('<tool_call><tool_call>{"name": "weather", "arguments": {"city": "Ulm"}}</tool_call>', "<tool_call>"),
        (
            '<tool_call>{"name": "weather", "arguments": {"city": "Ulm"}}</tool_call>, see <tool_call>',
            ", see <tool_call>",
        ),
        ('I look. <tool_call>{"name": "weather", "arguments": {"city": "Ulm"}}</tool_call>', "I look."),
        ('<tool_call>{"name": "weather", "arguments": "{\\"city\\": \\"Ulm\\"}"}', ""),
        ('<tool_call>[{"name": "weather", "parameters": {"city": "Ulm"}}]</tool_call>', ""),
        ('{"name": "weather", "parameters": {"city": "Ulm"}}', ""),
        ('<|python_tag|>{"name": "weather", "parameters": {"city": "Ulm"}}', ""),
        ('[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "Ulm"}}]', ""),
        ('```json\n{"name": "weather", "arguments": {"city": "Ulm"}}\n```', ""),
        ('{"type": "function", "function": {"name": "weather", "arguments": {"city": "Ulm"}}}', ""),
    ],
)
def test_calls_are_heard_in_the_forms_that_models_use(text: str, rest: str) -> None:
    assert parse_calls(text, {"weather"}) == (rest, ULM)


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "launch", "arguments": {}}</tool_call>',  # not offered
        '<tool_call>{"name": ["weather"], "arguments": {}}</tool_call>',
        '<tool_call>{"name": "weather", "arguments": [1]}</tool_call>',
        '<tool_call>{"name": "weather", "arguments": {"x": NaN}}</tool_call>',
        '<tool_call>{"name": "weather", "argum',
        'It would be {"name": "weather", "arguments": {}}.',
        "[" * 100_000,
        '{"temperature": 3}',
        "",
    ],
)
def test_everything_else_stays_text(text: str) -> None:
    assert parse_calls(text, {"weather"}) == (text, [])


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), objects), min_size=1, max_size=4), st.text())
def test_what_is_spoken_is_heard(said: list[tuple[str, Any]], before: str) -> None:
    calls = [ParsedCall(name, json.dumps(arguments)) for name, arguments in said]
    if "<" in before:
        before = ""
    assert parse_calls(f"{before}\n{format_calls(calls)}", {"a", "b"}) == (before.strip(), calls)


@given(st.text(alphabet="<tool_cal>{x \n"), st.integers(1, 7))
def test_what_goes_on_at_once_is_no_part_of_a_call(text: str, width: int) -> None:
    """Streamed in pieces of any width: text that has gone on stays a beginning of what is heard at the end."""
    text += '<tool_call>{"name": "weather", "arguments": {"city": "Ulm"}}</tool_call>'
    sent, held = "", ""
    for start in range(0, len(text), width):
        held += text[start : start + width]
        free = begins(held, first=not sent)
        sent, held = sent + held[:free], held[free:]
    assert parse_calls(text, {"weather"})[0].strip().startswith(sent.strip())
    assert parse_calls(held, {"weather"})[1] == parse_calls(text, {"weather"})[1] == ULM


def test_a_model_that_knows_no_tools_reads_them_as_text() -> None:
    system, *turns = plain_messages(TOOLS, TURNS)
    assert '"name": "weather"' in system[1]
    assert turns == [
        ("user", "Rain?"),
        ("assistant", format_calls(ULM)),
        ("user", "<tool_response>\nno\n</tool_response>"),
    ]
    (merged, _) = plain_messages(TOOLS, [("system", "Be brief."), ("user", "Rain?")])
    assert merged[1].startswith("Be brief.\n\nYou may call functions")
    twice = plain_messages(
        ToolHistory(turns={0: {"tool_call_id": "a"}, 1: {"tool_call_id": "b"}}), [("tool", "x"), ("tool", "y")]
    )
    assert len(twice) == 1
