"""A completion and its row are the same thing."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.inference.request import Completion, TokenLogprob, UpstreamUsage
from orchestrator.inference.schedule.ledger_rows import COLUMNS, completion, differing, row

REPLY = Completion(
    "ab" * 32,
    "naïve \x00",
    "length",
    5,
    2,
    (TokenLogprob("a", -0.5, (("b", -1.25),)),),
    0.25,
    reasoning="hm",
    usage=UpstreamUsage(3, 4, 0.5),
)


def test_what_is_read_is_what_was_written() -> None:
    told = replace(REPLY, prompt=((), ((3, "a", -0.5, 1), (4, "b", -1.5, 2))))
    bare = replace(REPLY, reasoning="", usage=None, logprobs=())
    for reply in (REPLY, bare, told, replace(bare, prompt=told.prompt)):
        stored = row("print", reply)
        assert stored["fingerprint"] == "print"
        assert completion([stored[name] for name in COLUMNS]) == replace(reply, cached=True)


def test_only_another_reply_differs() -> None:
    other = replace(REPLY, text="else")
    assert differing({REPLY.key: REPLY}, {REPLY.key: replace(REPLY, seconds=9.0)}) == {}
    assert differing({REPLY.key: REPLY}, {REPLY.key: other}) == {REPLY.key: REPLY}
