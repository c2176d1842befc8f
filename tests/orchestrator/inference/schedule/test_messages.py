"""What pool and workers say to each other: all of it pickles, errors and experts included."""

from __future__ import annotations

import pickle
from typing import get_args

import pytest

from orchestrator.errors import ExpertFailed
from orchestrator.inference.engines.engine import LoadReport
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Completion, Delta, Request, Sampling
from orchestrator.inference.schedule import messages

EXPERT = Expert("a", "f", "s")
REQUEST = Request("k", "a", (("user", "x"),), Sampling())
ERROR = ExpertFailed("gone")
SENT = [
    messages.Switch(EXPERT),
    messages.Add(((REQUEST, EXPERT),)),
    messages.Abort(("k",)),
    messages.ReadAhead(EXPERT),
    messages.Stop(),
    messages.Ready(8),
    messages.Loaded(LoadReport("a", "start", 1.5)),
    messages.LoadFailed("a", "gone", ERROR),
    messages.Broken("bug"),
    messages.Stepped((Delta("k"),), (Completion("k", "x", "stop", 1, 1),), (messages.Failed("k", ERROR),), 0.1, 1),
]


def test_every_message_is_here() -> None:
    assert {type(one) for one in SENT} == {*get_args(messages.WorkerOrder), *get_args(messages.WorkerEvent)}


@pytest.mark.parametrize("sent", SENT, ids=lambda one: type(one).__name__)
def test_it_arrives_as_it_was_sent(sent: object) -> None:
    arrived = pickle.loads(pickle.dumps(sent))
    assert type(arrived) is type(sent)
    assert repr(arrived) == repr(sent)
