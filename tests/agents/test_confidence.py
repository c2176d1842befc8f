"""Four kinds of confidence, and the paper's table."""

from __future__ import annotations

import math
from typing import Any

import pytest

from agents.agent import Agent
from agents.confidence import consistency, from_tokens, paper_weight, uncalibrated
from agents.conversation import DiscussionTerms, converse
from agents.discussions import build

Stage = Any


@pytest.mark.parametrize(
    ("confidence", "weight"),
    [
        (1.0, 1.0),
        (0.99, 0.8),
        (0.9, 0.8),
        (0.89, 0.5),
        (0.8, 0.5),
        (0.79, 0.3),
        (0.61, 0.3),
        (0.6, 0.1),
        (0.0, 0.1),
        (None, 0.1),
    ],
)
def test_the_papers_table(confidence: float | None, weight: float) -> None:
    assert paper_weight(confidence) == weight


def test_only_the_answers_tokens_count() -> None:
    tokens = [
        ("Sum.", -5.0),
        ("\nAnswer:", -5.0),
        (" 1", math.log(0.5)),
        ("2", math.log(0.125)),
        ("\nConfidence: 1", -9.0),
    ]
    assert from_tokens(tokens, "".join(token for token, _ in tokens)) == pytest.approx(0.25)
    assert from_tokens([("yes", math.log(0.5))], "yes") == pytest.approx(0.5)
    assert from_tokens([], "Answer: 2") is None


def test_consistency_is_the_share_of_equal_samples() -> None:
    assert consistency(["2", None, "3", "2"]) == ("2", 0.5)
    assert consistency(["3", "2"]) == ("3", 0.5)
    assert consistency([None]) == (None, None)


def test_a_confidence_is_taken_at_its_word_unless_calibrated() -> None:
    assert (uncalibrated("a", 0.7), uncalibrated("a", None)) == (0.7, 0.5)


async def test_agents_of_the_consistent_kind_answer_several_times(stage: Stage) -> None:
    agents = stage.agents([stage.said(2, 0.1), stage.said(3, 0.1), stage.said(2, 0.1), OSError("gone")])
    terms = DiscussionTerms(kind="consistency", consistency_samples=4)
    one = await converse(stage.question(), agents, build("vote"), name="vote", terms=terms)
    (turn,) = one.turns
    assert (turn.answer, turn.confidence, turn.stated, turn.calls, turn.completion_tokens) == ("2", 0.5, 0.1, 4, 9)
    assert one.calls == 4


async def test_static_confidence_is_the_agents_own(stage: Stage) -> None:
    agents = [
        Agent("a", stage.Actor(stage.said(2, 1.0)), confidence=0.4),
        Agent("b", stage.Actor(stage.said(3, 0.1)), confidence=0.6),
    ]
    one = await converse(
        stage.question(), agents, build("weighted-vote"), name="vote", terms=DiscussionTerms(kind="static")
    )
    assert (one.answer, [turn.confidence for turn in one.turns]) == ("3", [0.4, 0.6])
