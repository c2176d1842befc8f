"""The model id `fusion`: the panel is told as it comes, the answer streams, and whoever fails is replaced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.scripts.one_question import events, post

SCRIPTS = """
import json

CALL = '<tool_call>\\n{"name": "weather", "arguments": {"city": "Oslo"}}\\n</tool_call>'

def _role(messages):
    text = messages[-1][1]
    return "judge" if "four lists" in text else "writer" if "Write one answer" in text else "member"

def _reply(name, messages):
    role, text = _role(messages), messages[-1][1]
    if role == "judge":
        return json.dumps({"consensus": ["It rains."], "contradictions": [], "unique": [], "missing": []})
    if role == "writer":
        return f"It rains [1], says the judge: {'All agree' in text}; written by {name}."
    if "<tool_response>" in text:
        return f"{name} read {text.splitlines()[1]}."
    if any("<tools>" in content for _, content in messages) and "dry" not in text:
        return CALL
    return f"{name}: rain, after {len(messages)} messages."

def a(messages, seed):
    return _reply("a", messages)

def b(messages, seed):
    return _reply("b", messages)

def dead(messages, seed):
    raise ValueError("secret /etc/passwd")

def no_judge(messages, seed):
    if _role(messages) == "judge":
        return "I would rather not."
    return _reply("no_judge", messages)

def no_writer(messages, seed):
    if _role(messages) == "writer":
        raise ValueError("no")
    return _reply("no_writer", messages)
"""
ASKED = [{"role": "user", "content": "Will it rain?"}]
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


@pytest.fixture
def fusing(settings: dict[str, Any], tmp_path: Path) -> Any:
    """`fusing("a", "b", **plan)`: a configuration with these experts and the fusion `mine`."""
    (tmp_path / "fused.py").write_text(SCRIPTS)

    def made(*names: str, **plan: Any) -> dict[str, Any]:
        settings["experts"] = {name: {"script": f"fused:{name}"} for name in names}
        settings["fusions"] = {"mine": plan}
        return settings

    return made


async def answer(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    response = await post(client, **{"model": "mine", "messages": ASKED, **body})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_one_answer_with_whom_it_rests_on(fusing: Any, serving: Any) -> None:
    async with serving(fusing("a", "b")) as client:
        whole = await answer(client, model="fusion")
        assert whole["choices"][0]["message"]["content"] == "It rains [1], says the judge: True; written by a."
        told = whole["collegium"]["fusion"]
        assert told["sources"] == {"1": "a", "2": "b"}
        assert (told["cited"], told["judged"], told["synthesiser"]) == (["a"], "read", "a")
        assert told["analysis"]["consensus"] == ["It rains."]
        assert whole["collegium"]["calls"] == 4
        models = {one["id"] for one in (await client.get("/v1/models")).json()["data"]}
        assert {"fusion", "mine"} <= models
        budget = await answer(client, collegium={"preset": "budget"})
        assert budget["collegium"]["fusion"]["judged"] == "not asked"
        assert budget["collegium"]["calls"] == 3


async def test_a_stream_tells_the_panel_as_reasoning_and_the_answer_as_it_is_written(fusing: Any, serving: Any) -> None:
    async with serving(fusing("a", "b")) as client:
        streamed = await events(client, model="mine", messages=ASKED)
    deltas = [event["choices"][0]["delta"] for event in streamed if event["choices"]]
    thought = "".join(delta.get("reasoning_content", "") for delta in deltas)
    parts = [delta["content"] for delta in deltas if delta.get("content")]
    assert len(parts) > 3  # as it is written, not at its end
    assert "".join(parts) == "It rains [1], says the judge: True; written by a."
    assert "a: rain" in thought
    assert "b: rain" in thought
    assert "All agree: It rains." in thought  # the analysis as people read it
    assert "written by" not in thought
    first = next(n for n, delta in enumerate(deltas) if delta.get("content"))
    assert not any("reasoning_content" in delta for delta in deltas[first:])
    assert streamed[-1]["choices"][0]["finish_reason"] == "stop"
    assert streamed[-1]["collegium"]["fusion"]["synthesiser"] == "a"


async def test_the_panel_sees_the_conversation(fusing: Any, serving: Any) -> None:
    talk = [{"role": "system", "content": "Brief."}, *ASKED, {"role": "assistant", "content": "Yes."}, *ASKED]
    async with serving(fusing("a", "b")) as client:
        streamed = await events(client, model="mine", messages=talk)
    assert "after 4 messages" in json.dumps(streamed)


@pytest.mark.parametrize(
    ("names", "plan", "content", "state"),
    [
        (("dead", "a", "b"), {}, "It rains [1], says the judge: False; written by a.", "failed"),
        (("dead", "a"), {}, "a: rain, after 1 messages.", "not asked"),
        (("a", "b", "dead"), {"judge": "dead"}, "It rains [1], says the judge: False; written by a.", "failed"),
        (("no_writer", "b"), {}, "It rains [1], says the judge: True; written by b.", "read"),
        (("a", "b", "dead"), {"panel": ["a", "b"], "synthesisers": ["dead", "b"], "judge": "a"},
         "It rains [1], says the judge: True; written by b.", "read"),
    ],
    ids=["dead first member judges", "one member left", "dead judge", "writer fails", "next writer"],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
async def test_whoever_fails_is_replaced(
    fusing: Any, serving: Any, names: Any, plan: Any, content: str, state: str, stream: bool
) -> None:
    async with serving(fusing(*names, **plan)) as client:
        if stream:
            streamed = await events(client, model="mine", messages=ASKED)
            found = "".join(e["choices"][0]["delta"].get("content") or "" for e in streamed if e["choices"])
            told = streamed[-1]["collegium"]
        else:
            whole = await answer(client)
            found, told = whole["choices"][0]["message"]["content"], whole["collegium"]
    assert found == content
    assert told["fusion"]["judged"] == state
    assert "secret" not in json.dumps(told)


async def test_nobody_is_an_error(fusing: Any, serving: Any) -> None:
    settings = fusing("dead", "also_dead")
    settings["experts"]["also_dead"] = {"script": "fused:dead"}
    async with serving(settings) as client:
        response = await post(client, model="mine", messages=ASKED)
        assert response.status_code >= 500
        assert "secret" not in response.text


async def test_the_panels_calls_of_tools_are_the_chats_and_their_results_reach_the_panel(
    fusing: Any, serving: Any
) -> None:
    async with serving(fusing("a", "b")) as client:
        first = (await answer(client, tools=[WEATHER]))["choices"][0]
        assert first["finish_reason"] == "tool_calls"
        (call,) = first["message"]["tool_calls"]  # both call the same
        assert json.loads(call["function"]["arguments"]) == {"city": "Oslo"}
        results = [first["message"], {"role": "tool", "tool_call_id": call["id"], "content": "dry"}]
        assert not first["message"]["content"]
        talk = [*ASKED, {"role": "assistant", "tool_calls": [call]}, results[1]]
        whole = await answer(client, tools=[WEATHER], messages=talk, collegium={"explain": True})
        assert whole["choices"][0]["finish_reason"] == "stop"
        said = [turn["text"] for turn in whole["collegium"]["transcript"]["turns"][:2]]
        assert said == ["a read dry.", "b read dry."]
        assert whole["choices"][0]["message"]["content"].endswith("written by a.")


async def test_tool_calls_come_to_an_end(fusing: Any, serving: Any) -> None:
    async with serving(fusing("a", "b", tool_rounds=0)) as client:
        whole = await answer(client, tools=[WEATHER])
    assert whole["choices"][0]["finish_reason"] == "stop"


async def test_the_answer_can_be_held_to_a_schema(fusing: Any, serving: Any) -> None:
    schema = {"type": "object", "properties": {"rain": {"type": "boolean"}}, "required": ["rain"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "r", "schema": schema}}
    async with serving(fusing("a", "b")) as client:
        whole = await answer(client, response_format=wanted)
    assert set(json.loads(whole["choices"][0]["message"]["content"])) == {"rain"}


async def test_a_closed_question_is_voted_on(settings: dict[str, Any], serving: Any) -> None:
    async with serving(settings) as client:
        whole = await answer(
            client, model="fusion", messages=[{"role": "user", "content": "Which word?"}], collegium={"kind": "text"}
        )
    assert whole["collegium"]["answer"] == "a"
    assert whole["collegium"]["calls"] == 2
