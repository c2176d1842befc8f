"""Aggregators by name: built in, an expert, or one's own, whose mistakes are named."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from agents.question import Question
from agents.reply import Reply
from agents.votes import AT_THEIR_WORD, Verdict
from orchestrator.errors import BadInput
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.evaluation.methods.aggregators import AGGREGATORS, aggregator

QUESTION = Question(id="q1", question="Which?", kind="text", answer="x")


def vote(name: str, given: str, chances: list[float]) -> Verdict:
    replies = [
        ExpertReply(QUESTION, f"e{place}", Reply("", "", None if answer == "-" else answer, None), False, None)
        for place, answer in enumerate(given)
    ]
    return aggregator(name, ["writer"]).vote(QUESTION, replies, chances, AT_THEIR_WORD)


@pytest.fixture(autouse=True)
def mine(monkeypatch: pytest.MonkeyPatch) -> None:
    own: Any = ModuleType("aggregators_of_mine")
    monkeypatch.setitem(sys.modules, own.__name__, own)
    own.first = lambda question, answers, chances: [float(place == 0) for place in range(len(answers))]
    own.short = lambda question, answers, chances: [1.0]
    own.negative = lambda question, answers, chances: [-1.0] * len(answers)
    own.breaks = lambda question, answers, chances: 1 / 0
    own.number = 3


def test_each_aggregator_counts_in_its_own_way() -> None:
    assert vote("majority", "xyy", [0.99, 0.5, 0.5]).answer == "y"
    assert vote("log-odds", "xyy", [0.99, 0.2, 0.2]).answer == "x"
    assert vote("writer", "xyy", [0.99, 0.2, 0.2]) == vote("log-odds", "xyy", [0.99, 0.2, 0.2])
    assert vote("aggregators_of_mine:first", "xyy", [0.1, 0.9, 0.9]).answer == "x"
    assert vote("aggregators_of_mine:first", "-yz", [0.1, 0.9, 0.9]).abstentions == (0,)


def test_traits_say_what_must_be_fitted_and_who_writes() -> None:
    assert [name for name, one in AGGREGATORS.items() if one.fitted] == ["log-odds", "benchmark"]
    assert [name for name, one in AGGREGATORS.items() if one.benchmarked] == ["benchmark"]
    assert aggregator("writer", ["writer"]).writer == "writer"
    own = aggregator("aggregators_of_mine:first", [])
    assert (own.fitted, own.benchmarked, own.writer) == (False, False, None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("aggregators_of_mine:breaks", "--aggregator: aggregators_of_mine:breaks: question 'q1': ZeroDivisionError"),
        ("aggregators_of_mine:short", r"question 'q1': returned \[1.0\], not 2 finite weights of at least 0"),
        ("aggregators_of_mine:negative", "not 2 finite weights of at least 0"),
        ("aggregators_of_mine:number", "'aggregators_of_mine:number' is no function but int"),
        ("nobody", "no aggregator 'nobody'; there are log-odds, majority, benchmark, writer"),
    ],
)
def test_what_is_wrong_with_one_of_ones_own_is_said(name: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        vote(name, "xy", [0.5, 0.5])
