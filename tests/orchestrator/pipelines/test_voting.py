"""The vote of recruited experts, fitted on what they answered to validation questions."""

from __future__ import annotations

import random

import numpy as np

from agents.question import Question
from orchestrator.pipelines.voting import by_log_odds, held_out_odds
from router.embedding import Features
from router.routers import BestRouter
from router.row import Row
from router.table import Table

EXPERTS = ("good", "one", "two", "three")


def world(count: int, recorded: bool = True) -> tuple[Table, Features]:
    """`good` is right on 70 of 100 questions, each of the others on 55, and these always agree."""
    rng, rows = random.Random(0), []
    for number in range(count):
        gold, other = rng.choice("abcd"), rng.choice("abcd")
        first = gold if rng.random() < 0.7 else other
        second = gold if rng.random() < 0.55 else rng.choice("abcd")
        answers = dict(zip(EXPERTS, (first, second, second, second), strict=True))
        right = {name: float(answer == gold) for name, answer in answers.items()}
        predictions: dict[str, str | None] = {**answers} if recorded else {}
        rows.append(Row(f"{number}", f"What is {number}?", right, answer=gold, predictions=predictions))
    return Table.from_rows(rows, EXPERTS), Features(np.ones((count, 1), np.float32))


def test_experts_that_always_agree_do_not_outvote_a_better_one_once_the_vote_is_fitted() -> None:
    odds = held_out_odds(*world(400), BestRouter.fit, 4)
    assert odds is not None
    question = Question(id="new", question="What is it?", kind="text")
    replies, chances = ["a", "b", "b", "b"], [0.75, 0.6, 0.6, 0.6]
    assert by_log_odds(question, replies, chances, None).answer == "b"
    assert by_log_odds(question, replies, chances, odds).answer == "a"


def test_where_nothing_can_be_fitted_probabilities_are_taken_at_their_word() -> None:
    assert held_out_odds(*world(1), BestRouter.fit, 3) is None
    assert held_out_odds(*world(50, recorded=False), BestRouter.fit, 3) is None
    yesno = Question(id="new", question="Is it?", kind="yesno")
    assert by_log_odds(yesno, ["yes", "no", "no"], [0.95, 0.6, 0.6], None).answer == "yes"
