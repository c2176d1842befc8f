"""The vote of recruited experts, fitted on what they answered to validation questions."""

from __future__ import annotations

import dataclasses
import random

import numpy as np

from agents.votes import AT_THEIR_WORD, log_odds
from orchestrator.pipelines.voting import held_out_odds
from router.embedding import Features
from router.routers import BestRouter, maker
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
    replies, chances = ["a", "b", "b", "b"], [0.75, 0.6, 0.6, 0.6]
    assert log_odds(replies, chances).answer == "b"
    assert log_odds(replies, chances, odds).answer == "a"


def test_where_nothing_can_be_fitted_probabilities_are_taken_at_their_word() -> None:
    for few in (1, 2):
        assert held_out_odds(*world(few), maker("mixture"), 3) == AT_THEIR_WORD
    assert held_out_odds(*world(3), maker("mixture"), 3) != AT_THEIR_WORD
    assert held_out_odds(*world(50, recorded=False), BestRouter.fit, 3) == AT_THEIR_WORD


def test_each_question_is_fitted_with_as_many_options_as_it_has() -> None:
    """Of two improbable experts that agree on yes or no the answer is the other one, whatever they do elsewhere."""
    free, features = world(200)
    rows = [dataclasses.replace(row, extra={"kind": "yesno" if n % 2 else "text"}) for n, row in enumerate(free.rows)]
    odds = held_out_odds(Table.from_rows(rows, EXPERTS), features, BestRouter.fit, 4)
    assert log_odds(["yes", "no", "no"], [0.5, 0.3, 0.3], odds, options=2).answer == "yes"
