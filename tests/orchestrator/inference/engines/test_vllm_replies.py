"""vLLM's outputs as ours, and a request that goes on under another name once its thought was closed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.errors import ExpertFailed
from orchestrator.inference.engines.thought_meter import ThoughtMeter
from orchestrator.inference.engines.vllm_replies import LiveReply
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Request, Sampling

EXPERT = Expert("e", "print", "s", context=40)


class Shape:
    """A live model that notes what it is asked."""

    context = 64

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[int], int, bool]] = []
        self.aborted: list[str] = []

    def add(self, request: Request, expert: Expert, ids: list[int], room: int, *rest: Any) -> None:
        self.asked.append((rest[2], ids, room, rest[3]))

    def abort(self, name: str) -> None:
        self.aborted.append(name)


class Letters:
    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": [ord(letter) for letter in text]}


def output(text: str, *ids: int, finish: str | None = None) -> Any:
    part = SimpleNamespace(text=text, token_ids=list(ids), logprobs=None, finish_reason=finish)
    return SimpleNamespace(request_id="k", outputs=[part], prompt_token_ids=[1, 2, 3], prompt_logprobs=None)


def reply(meter: ThoughtMeter | None = None, **own: Any) -> LiveReply:
    return LiveReply(Request("k", "e", (("user", "x"),), Sampling(max_tokens=2)), EXPERT, [1, 2, 3], meter=meter, **own)


def test_a_last_delta_counts_the_prompt_and_an_unknown_end_is_an_error() -> None:
    last = reply().delta(output("a", 5, finish="stop"))
    assert (last.text, last.tokens, last.finish_reason, last.prompt_tokens) == ("a", 1, "stop", 3)
    assert isinstance(reply().delta(output("a", 5, finish="burnt")).error, ExpertFailed)


def test_special_tokens_that_are_no_marks_are_left_out() -> None:
    shown = reply(hidden=("<eos>", "<pad>")).delta(output("a<pad>[THINK]<eos>", 5))
    assert shown.text == "a[THINK]"


def test_a_spent_thought_goes_on_as_a_request_of_its_own_with_the_mark_in_its_prompt() -> None:
    shape, one = Shape(), reply(ThoughtMeter(2, 7))
    first = one.measured(one.delta(output("<think>", 10)), output("<think>", 10), shape, Letters())
    assert (first.text, shape.asked) == ("<think>", [])
    closed = one.measured(one.delta(output("hm", 11)), output("hm", 11), shape, Letters())
    mark = "\n</think>\n\n"
    assert (closed.text, closed.tokens, closed.last) == (f"hm{mark}", 1 + len(mark), False)
    assert shape.aborted == ["k"]
    assert shape.asked == [("k+", [1, 2, 3, 10, 11, *map(ord, mark)], 7, False)]
    assert one.name == "k+"
    said = one.measured(one.delta(output("yes", 12)), output("yes", 12), shape, Letters())
    assert said.text == "yes"


def test_a_full_answer_ends_vllms_request() -> None:
    shape, one = Shape(), reply(ThoughtMeter(20, 1))
    done = one.measured(one.delta(output("Paris", 10)), output("Paris", 10), shape, Letters())
    assert (done.finish_reason, done.prompt_tokens, shape.aborted) == ("length", 3, ["k"])


@pytest.mark.parametrize("context", [10, 15])
def test_where_the_context_is_full_the_reply_ends_with_its_thought(context: int) -> None:
    shape, one = Shape(), reply(ThoughtMeter(1, 9))
    shape.context = context
    closed = one.measured(one.delta(output("<think>", 10)), output("<think>", 10), shape, Letters())
    assert (closed.finish_reason, shape.asked) == ("length", [])
