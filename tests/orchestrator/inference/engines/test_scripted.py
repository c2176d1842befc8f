"""What only the scripted engine does: scripts by path, faults, simulated time, bounded width."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import pytest

from orchestrator.errors import ExpertError
from orchestrator.inference.engines.engine import FreshProcess
from orchestrator.inference.engines.scripted import ScriptedEngine, ScriptedOptions
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Delta, PromptMessage, Request, Sampling, request_key

EXPERT = Expert("script", "script", "shape")


def request(text: str, **sampling: Any) -> Request:
    wanted, messages = Sampling(**sampling), (("user", text),)
    return Request(request_key("script", messages, wanted, 0), "script", messages, wanted)


def drain(engine: ScriptedEngine) -> dict[str, list[Delta]]:
    deltas: dict[str, list[Delta]] = {}
    while found := engine.step():
        for delta in found:
            deltas.setdefault(delta.key, []).append(delta)
    return deltas


def fails_on_bad(messages: Sequence[PromptMessage], seed: int) -> str:
    if "bad" in messages[-1][1]:
        raise ValueError("I was told to")
    return "fine"


def test_it_echoes_unless_told_otherwise() -> None:
    engine = ScriptedEngine()
    engine.load(EXPERT)
    asked = request("  spaces   stay \n")
    engine.add(asked, EXPERT)
    assert "".join(delta.text for delta in drain(engine)[asked.key]) == "  spaces   stay \n"


def test_a_script_that_raises_fails_its_request_only() -> None:
    engine = ScriptedEngine(script=fails_on_bad)
    engine.load(EXPERT)
    good, bad = request("good"), request("bad")
    for each in (good, bad):
        engine.add(each, EXPERT)
    deltas = drain(engine)
    assert str(deltas[bad.key][-1].error) == "ValueError: I was told to"
    assert deltas[good.key][-1].finish_reason == "stop"


def test_a_script_can_take_the_process_with_it() -> None:
    code = (
        "import os, signal\n"
        "from orchestrator.inference.engines.scripted import ScriptedEngine\n"
        "from orchestrator.inference.expert import Expert\n"
        "from orchestrator.inference.request import Request, Sampling\n"
        "engine = ScriptedEngine(script=lambda messages, seed: os.kill(os.getpid(), signal.SIGKILL))\n"
        "expert = Expert('e', 'e', 's')\n"
        "engine.load(expert)\n"
        "engine.add(Request('00000001', 'e', (('user', 'x'),), Sampling()), expert)\n"
        "engine.step()\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=os.getcwd()).returncode == -signal.SIGKILL


def test_no_more_requests_run_than_the_batch_holds() -> None:
    engine = ScriptedEngine(ScriptedOptions(batch=3))
    engine.load(EXPERT)
    for number in range(7):
        engine.add(request(f"a b c {number}"), EXPERT)
    assert [len(engine.step()) for _ in range(12)] == [3, 3, 3, 3, 3, 3, 3, 3, 1, 1, 1, 1]
    assert engine.step() == []


def test_time_passes_only_if_asked_to() -> None:
    slow = ScriptedEngine(ScriptedOptions(load_seconds=0.02, start_seconds=0.05, step_seconds=0.01))
    assert slow.load(EXPERT).seconds >= 0.05
    swap = slow.load(Expert("other", "other", "shape"))
    assert swap.way == "in_place"
    assert 0.02 <= swap.seconds < 0.05
    quick = ScriptedEngine()
    began = time.perf_counter()
    quick.load(EXPERT)
    quick.add(request("word " * 500, max_tokens=1000), EXPERT)
    drain(quick)
    assert time.perf_counter() - began < 1


def test_another_shape_wants_a_fresh_process_if_told_so() -> None:
    engine = ScriptedEngine(ScriptedOptions(one_shape=True))
    assert engine.load(EXPERT).way == "start"
    with pytest.raises(FreshProcess, match="another shape"):
        engine.load(Expert("other", "other", "another"))
    asked = request("still here")
    engine.add(asked, EXPERT)
    assert drain(engine)


def test_experts_run_side_by_side_if_told_so() -> None:
    engine = ScriptedEngine(ScriptedOptions(side_by_side=True))
    engine.load(EXPERT)
    own = Expert("own", "own", "shape", script=f"{__name__}:fails_on_bad")
    assert engine.beside(own)
    assert engine.load(own).way == "beside"
    for expert in (EXPERT, own):
        engine.add(request("good", max_tokens=4 if expert is own else 5), expert)
    texts = {"".join(delta.text for delta in deltas) for deltas in drain(engine).values()}
    assert texts == {"good", "fine"}


@pytest.mark.parametrize("path", ["nowhere.to_be:found", "json:nothing", "json", "json:decoder"])
def test_a_script_that_is_not_there_is_refused_by_name(path: str) -> None:
    with pytest.raises(ExpertError, match=f"script '{path}'"):
        ScriptedEngine().load(Expert("script", "script", "shape", script=path))


def test_structure_is_kept_to_whatever_the_script_says() -> None:
    engine = ScriptedEngine()
    engine.load(EXPERT)
    schema = {
        "$defs": {"Size": {"enum": ["small", "large"]}},
        "type": "object",
        "properties": {
            "size": {"$ref": "#/$defs/Size"},
            "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2},
            "note": {"anyOf": [{"type": "null"}, {"type": "string"}]},
        },
        "required": ["size", "tags", "note"],
    }
    asked = request("not JSON", structured=json.dumps({"json": schema}))
    kept = request('{"own": 1}', structured=json.dumps({"json": schema}))
    odd = request("abc", structured='{"regex": "[0-9]+"}')
    for each in (asked, kept, odd):
        engine.add(each, EXPERT)
    deltas = drain(engine)
    texts = {key: "".join(delta.text for delta in found) for key, found in deltas.items()}
    assert json.loads(texts[asked.key]) == {"size": "small", "tags": ["", ""], "note": None}
    assert texts[kept.key] == '{"own": 1}'
    assert "does not match" in str(deltas[odd.key][-1].error)


def test_an_expression_that_backtracks_for_ever_fails_its_request_alone() -> None:
    engine = ScriptedEngine()
    engine.load(EXPERT)
    endless, other = request("a" * 64, structured='{"regex": "(a|a)*b"}'), request("hello")
    for each in (endless, other):
        engine.add(each, EXPERT)
    deltas = drain(engine)
    assert "does not match" in str(deltas[endless.key][-1].error)
    assert "".join(delta.text for delta in deltas[other.key]) == "hello"


def test_closing_is_idempotent() -> None:
    engine = ScriptedEngine()
    engine.load(EXPERT)
    engine.close()
    engine.close()
    assert engine.step() == []
    with pytest.raises(RuntimeError, match="closed"):
        engine.load(EXPERT)
