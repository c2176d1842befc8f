"""What decides a completion is in its key, and nothing else is."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import pytest

from orchestrator.errors import RequestError
from orchestrator.inference.request import IMPOSSIBLE, Delta, Request, Sampling, TokenLogprob, request_key
from orchestrator.inference.tool_history import ToolHistory

MESSAGES = (("user", "1 + 1?"),)
OTHER: dict[str, Any] = {
    "stop": ("x",), "logprobs": 3, "structured": "{}", "tools": ToolHistory(parallel=True), "ignore_eos": True,
    "logit_bias": ((1, 2.0),), "prompt_logprobs": 0,
    "bad_words": ("x",), "stop_token_ids": (7,), "template": "{}", "continue_final": True, "repetition": (8, 1, 4),
}  # fmt: skip


@pytest.mark.parametrize("name", [one.name for one in fields(Sampling)])
def test_every_setting_of_sampling_is_part_of_the_key(name: str) -> None:
    plain = Sampling(temperature=0.7)
    changed = replace(plain, **{name: OTHER[name] if name in OTHER else getattr(plain, name) + 1})
    assert request_key("f", MESSAGES, changed) != request_key("f", MESSAGES, plain)


def test_expert_and_messages_count_and_draw_and_seed_only_where_something_is_drawn() -> None:
    cold, warm = Sampling(), Sampling(temperature=1.0)
    assert request_key("f", MESSAGES, cold) != request_key("g", MESSAGES, cold)
    assert request_key("f", MESSAGES, cold) != request_key("f", (("system", "1 + 1?"),), cold)
    assert request_key("f", MESSAGES, cold, draw=1, seed=1) == request_key("f", MESSAGES, cold)
    keys = {request_key("f", MESSAGES, warm, draw, seed) for draw in range(3) for seed in range(3)}
    assert len(keys) == 9


def test_keys_of_older_ledgers_stay_what_they_were() -> None:
    assert request_key("f", MESSAGES, Sampling()) == "3fc375b0691fe75cfac8dbee9d9e3ee45f70bb3c299dc041b1a9650b413f50db"


def test_the_seed_is_a_function_of_the_key_in_31_bits() -> None:
    assert Request("ffffffff" + "0" * 56, "a", MESSAGES, Sampling()).seed == 2**31 - 1
    assert Request("00000005" + "0" * 56, "a", MESSAGES, Sampling()).seed == 5


def test_only_what_is_asked_for_beyond_the_plain_is_told_to_a_server() -> None:
    assert Sampling(temperature=0.5, stop=("x",)).further == {}
    assert Sampling(top_k=4, min_p=0.1, logit_bias=((7, 1.5),), template='{"a": 1}').further == {
        "min_p": 0.1,
        "top_k": 4,
        "logit_bias": {"7": 1.5},
        "chat_template_kwargs": {"a": 1},
    }


def test_a_delta_with_a_reason_or_an_error_is_the_last() -> None:
    assert not Delta("k", "x").last
    assert Delta("k", finish_reason="stop").last
    assert Delta("k", error=RequestError("x")).last


@pytest.mark.parametrize("odd", [-math.inf, math.nan, -1e9])
def test_a_token_that_cannot_be_said_has_a_log_probability_that_json_has(odd: float) -> None:
    token = TokenLogprob("a", odd, (("a", odd), ("b", -0.5)))
    assert (token.logprob, token.top) == (IMPOSSIBLE, (("a", IMPOSSIBLE), ("b", -0.5)))
    assert TokenLogprob("a", -0.5, (("b", -2.0),)).top == (("b", -2.0),)
