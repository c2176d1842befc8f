"""Thoughts have a budget of their own: when it is spent the thought is closed, and the answer is as long as asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.inference.engines.thought_meter import MAX_CLOSING, ThoughtMeter, meter_of
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import PROMPT, Request, Sampling
from reasoning.stream import ThoughtSplitter
from tests.orchestrator.inference.engines.conftest import joined

# What vLLM says while an engine starts.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
THINKS = TEMPLATE + "<|im_start|>assistant\n<think>\n"
BUDGET, ANSWER = 9, 3


def verdicts(meter: ThoughtMeter, *pieces: str) -> list[str]:
    return [meter.feed(piece, 1) for piece in pieces]


def test_a_thought_that_ends_by_itself_costs_the_answer_nothing() -> None:
    meter = ThoughtMeter(4, 3)
    assert verdicts(meter, "<think>", "a", "</think>", "\n\n", "one", " two", " three") == ["go on"] * 6 + ["end"]


def test_a_thought_that_has_spent_its_budget_is_closed_once() -> None:
    meter = ThoughtMeter(3, 2)
    assert verdicts(meter, "<think>", "a", "b", "c") == ["go on", "go on", "close", "go on"]
    assert meter.closing == "\n</think>\n\n"
    assert verdicts(meter, "\n</think>\n\n", "one", "two") == ["go on", "go on", "end"]


def test_a_thought_that_is_opened_again_is_closed_again() -> None:
    meter = ThoughtMeter(2, 2)
    assert verdicts(meter, "<think>", "a", "</think>", "<think>", "b")[3:] == ["close", "go on"]


def test_a_reply_without_a_thought_is_as_long_as_was_asked() -> None:
    assert verdicts(ThoughtMeter(99, 2), "Paris", " is") == ["go on", "end"]


def test_marks_in_capitals_are_closed_in_capitals() -> None:
    meter = ThoughtMeter(1, 2)
    assert verdicts(meter, "[THINK]a") == ["close"]
    assert meter.closing == "\n[/THINK]\n\n"


def request(**sampling: Any) -> Request:
    return Request("k", "e", (("user", "x"),), Sampling(**{"max_tokens": 100, **sampling}))


def test_who_has_a_meter_and_what_fits_the_context() -> None:
    plain = Expert("e", "e", "s")
    thinks = replace(plain, reasoning_tokens=1_000)
    assert meter_of(request(), plain, 5_000) is None
    for held in ({"structured": '{"choice": ["a"]}'}, {"continue_final": True}, {"ignore_eos": True}):
        assert meter_of(request(**held), thinks, 5_000) is None
    assert meter_of(replace(request(), messages=((PROMPT, "x"),)), thinks, 5_000) is None
    meter = meter_of(request(), thinks, 5_000)
    assert meter is not None
    assert (meter.budget, meter.answer, meter.room) == (1_000, 100, 1_000 + MAX_CLOSING + 100)
    scarce = meter_of(request(), thinks, 120)
    assert scarce is not None
    assert scarce.budget == 60


def test_an_engine_closes_the_thought_and_gives_the_answer_its_own_tokens(real: Any) -> None:
    thinker = replace(real.first, name="thinker", fingerprint="thinker", chat_template=THINKS, reasoning_tokens=BUDGET)
    real.engine.load(thinker)
    asked = real.request("Tell me a long story about rivers.", thinker, max_tokens=ANSWER)
    deltas = real.run(asked, expert=thinker)[asked.key]
    text = joined(deltas)
    reply, thought = ThoughtSplitter().feed(text, last=True)
    closing = len(real.engine.prompts.tokenizer(thinker)("\n</think>\n\n", add_special_tokens=False)["input_ids"])
    assert text.startswith("<think>")
    assert "\n</think>\n\n" in text
    assert thought.strip()
    assert reply.strip()
    assert deltas[-1].finish_reason == "length"
    # White space before the answer belongs to neither.
    assert BUDGET + closing + ANSWER <= sum(delta.tokens for delta in deltas) <= BUDGET + closing + ANSWER + 2
    assert deltas[-1].prompt_tokens == len(real.engine.prompts.ids(thinker, asked.messages))
    # The same answer as when the model is given the closed thought as its prompt.
    prompt = real.engine.prompts.tokenizer(thinker).decode(real.engine.prompts.ids(thinker, asked.messages))
    given = prompt + text.removeprefix("<think>").removeprefix("\n").partition("</think>\n\n")[0] + "</think>\n\n"
    plain = replace(real.request(""), key="plain", messages=((PROMPT, given),), sampling=asked.sampling)
    told = joined(real.run(plain, expert=thinker)["plain"])
    assert told.split()[:2] == reply.split()[:2]
    real.engine.load(real.first)


def test_without_a_budget_thoughts_count_as_the_reply(real: Any) -> None:
    thinker = replace(real.first, name="spends", fingerprint="spends", chat_template=THINKS)
    real.engine.load(thinker)
    asked = real.request("Tell me a long story about rivers.", thinker, max_tokens=ANSWER)
    deltas = real.run(asked, expert=thinker)[asked.key]
    assert sum(delta.tokens for delta in deltas) == ANSWER
    assert "</think>" not in joined(deltas)
    real.engine.load(real.first)


def test_requests_with_and_without_budgets_share_a_batch_and_can_be_withdrawn(real: Any) -> None:
    thinker = replace(real.first, name="thinker", fingerprint="thinker", chat_template=THINKS, reasoning_tokens=BUDGET)
    real.engine.load(thinker)
    stories = [f"Tell me a long story about {thing}." for thing in ("rivers", "mountains", "an old train")]
    asked = [real.request(story, thinker, max_tokens=3 * ANSWER) for story in stories]
    plain = replace(real.request(""), key="plain", messages=((PROMPT, "A river is"),))
    for one in (*asked, plain):
        real.engine.add(one, thinker)
    seen: dict[str, str] = {one.key: "" for one in (*asked, plain)}
    running = set(seen)
    while "</think>" not in seen[asked[0].key]:  # on vLLM under another name from here on
        for delta in real.engine.step():
            seen[delta.key] += delta.text
            running -= {delta.key} if delta.last else set()
    assert asked[0].key in running
    real.engine.abort(asked[0].key)
    deltas = real.drain(running - {asked[0].key})
    assert not deltas.get(asked[0].key)
    for one in asked[1:]:
        text = seen[one.key] + "".join(delta.text for delta in deltas.get(one.key, ()))
        assert text.count("</think>") <= 1
    assert "</think>" not in seen["plain"]
    assert real.engine.step() == []
    real.engine.load(real.first)
