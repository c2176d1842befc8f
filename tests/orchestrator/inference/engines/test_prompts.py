"""From messages to token ids."""

from __future__ import annotations

from pathlib import Path

from orchestrator.experts.demo import FULL, locate
from orchestrator.inference.engines.prompts import Prompts
from orchestrator.inference.engines.sources import Sources
from orchestrator.inference.expert import Expert, Weights
from orchestrator.inference.request import PromptMessage, Request, Sampling
from orchestrator.inference.tool_history import ToolHistory
from tests.orchestrator.inference.engines.tiny import changed_config

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}

CALLED = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}

TOOLS = ToolHistory([WEATHER], turns={1: {"tool_calls": [CALLED]}, 2: {"tool_call_id": "c1"}})

TURNS: list[PromptMessage] = [("user", "Rain?"), ("assistant", ""), ("tool", "no")]

TEMPLATE = """{% for tool in tools or [] %}<tool>{{ tool.function.name }}</tool>{% endfor %}
{%- for message in messages %}[{{ message.role }}]{{ message.content }}
{%- for call in message.tool_calls or [] %}<call {{ call.function.name }} {{ call.function.arguments.city }}>
{%- endfor %}
{%- endfor %}"""


def test_a_template_that_knows_tools_is_given_them_as_they_are() -> None:
    folder = locate(FULL)
    prompts = Prompts(Sources())

    def prompt(template: str | None, tools: str | None) -> str:
        expert = Expert("e", str(template), "s", weights=Weights(folder), chat_template=template)
        return str(prompts.tokenizer(expert).decode(prompts.ids(expert, TURNS, Sampling(tools=tools))))

    assert prompt(TEMPLATE, TOOLS) == "<tool>weather</tool>[user]Rain?[assistant]<call weather Ulm>[tool]no"
    assert prompt(TEMPLATE, None) == "[user]Rain?[assistant][tool]no"
    own = prompt(None, TOOLS)
    assert own.index("You may call functions") < own.index('"city": "Ulm"') < own.index("<tool_response>")


def test_of_a_prompt_that_is_too_long_the_share_of_the_tools_is_told() -> None:
    expert = Expert("e", "e", "s", weights=Weights(locate(FULL)))
    prompts = Prompts(Sources())
    sampling = Sampling(tools=ToolHistory([WEATHER]))
    with_tools, without = (len(prompts.ids(expert, TURNS[:1], one)) for one in (sampling, Sampling()))
    told = str(prompts.too_long(expert, Request("k", "e", (TURNS[0],), sampling), with_tools, 20))
    assert told.startswith(f"the prompt is too long: {with_tools} tokens, 'e' holds 20; {with_tools - without} of them")
    assert with_tools > without
    plain = str(prompts.too_long(expert, Request("k", "e", (TURNS[0],), Sampling()), without, 20))
    assert plain == f"the prompt is too long: {without} tokens, 'e' holds 20"


def test_ends_that_the_model_cannot_say_are_left_out(tmp_path: Path) -> None:
    wanted = [2, 7, 49_151, 49_152, -1]
    folder = changed_config(locate(FULL), tmp_path / "odd", "generation_config.json", eos_token_id=wanted)
    found = Prompts(Sources()).stop_ids(Expert("e", "e", "s", weights=Weights(folder)))
    assert {*found} == {2, 7, 49_151}
