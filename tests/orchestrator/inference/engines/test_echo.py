"""Prompts that are no chats, and replies that begin with them."""

from __future__ import annotations

import pytest

from orchestrator.errors import RequestError
from orchestrator.inference.engines.echo import Echo, check_ids, is_plain, refuse_plain
from orchestrator.inference.request import PROMPT, PROMPT_IDS, Delta, Request, Sampling, TokenLogprob

TOKENS = (TokenLogprob("a", 0.0), TokenLogprob(" b", -1.0))


def test_the_first_delta_begins_with_the_prompt() -> None:
    delta = Delta("k", " c", 1, (TokenLogprob(" c", -2.0),), 2)
    found = Echo("a b", TOKENS).before(delta)
    assert (found.text, found.tokens, found.prompt_tokens) == ("a b c", 1, 2)
    assert [one.token for one in found.logprobs] == ["a", " b", " c"]


def test_a_prompt_alone_ends_the_reply_and_counts_no_token() -> None:
    found = Echo("a b", TOKENS, alone=True).before(Delta("k", " c", 1, (TokenLogprob(" c", -2.0),)))
    assert (found.text, found.tokens, found.finish_reason, found.logprobs) == ("a b", 0, "length", TOKENS)
    failed = Delta("k", error=RequestError("no"))
    assert Echo("a b", alone=True).before(failed) is failed


def test_ids_without_a_place_in_the_vocabulary_are_refused() -> None:
    check_ids([0, 9], 10)
    for ids, why in (([], "no tokens"), ([3, 10], "10"), ([-1], "-1")):
        with pytest.raises(RequestError, match=why):
            check_ids(ids, 10)


def test_engines_of_chats_refuse_what_is_none() -> None:
    chat = Request("k", "e", (("user", "a"),), Sampling())
    refuse_plain(chat, "no")
    for role in (PROMPT, PROMPT_IDS):
        assert is_plain(((role, "[1]"),))
        with pytest.raises(RequestError, match="prompt: no"):
            refuse_plain(Request("k", "e", ((role, "[1]"),), Sampling()), "no")
