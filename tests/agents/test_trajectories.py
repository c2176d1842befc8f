"""What agents did in a discussion, and how much their last replies count for it."""

from __future__ import annotations

import random

import pytest

from agents.trajectories import MoveOdds, Trajectory, fit_moves
from agents.votes import log_odds, log_odds_weights

ECHOES = MoveOdds()
INDEPENDENT = MoveOdds(first=0.0, kept=1.0, followed=1.0, joined=1.0, found=1.0)


def trajectory(first: list[str | None], last: list[str | None], sure: list[float], after: list[float]) -> Trajectory:
    return Trajectory(first, last, log_odds_weights(sure, options=4), log_odds_weights(after, options=4), 4)


def test_every_move_has_its_name() -> None:
    one = trajectory(
        ["a", "b", "b", "c", "d", None, None], ["a", "a", "c", "e", None, "a", None], [0.9] + [0.4] * 6, [0.5] * 7
    )
    assert one.moves == ["kept", "followed", "joined", "found", "withdrew", "followed", "silent"]


def test_by_default_talk_changes_nothing() -> None:
    draw = random.Random(0)
    for _ in range(200):
        first = [draw.choice(["a", "b", "c", "d", None]) for _ in range(5)]
        last = [draw.choice(["a", "b", "c", "e", None]) for _ in range(5)]
        sure, after = ([draw.uniform(0.02, 0.98) for _ in range(5)] for _ in range(2))
        one = trajectory(first, last, sure, after)
        assert one.vote(ECHOES).answer == log_odds(first, sure, options=4).answer
        independent = log_odds([a for a in last if a], [p for a, p in zip(last, after, strict=True) if a], options=4)
        if None not in last:
            assert one.vote(INDEPENDENT).answer == independent.answer


def test_followers_are_echoes_until_the_odds_say_otherwise() -> None:
    one = trajectory(["a", "b", "c", "d"], ["a", "b", "b", "b"], [0.7, 0.5, 0.4, 0.4], [0.7, 0.5, 0.6, 0.6])
    assert one.vote(ECHOES).answer == "a"
    assert one.vote(MoveOdds(joined=1.0)).answer == "b"
    verdict = one.vote(MoveOdds(joined=1.0))
    assert verdict.groups[0].voters == (1, 5, 6, 7)  # the first reply, then the last ones
    assert one.vote(MoveOdds(left=-1.0)).groups[-1].weight == pytest.approx(0.0)


def discussions(count: int, joined_right: float) -> tuple[list[Trajectory], list[str]]:
    """Three agents; whoever leaves an answer for a third one is right this often."""
    draw, found, golds = random.Random(1), [], []
    for _ in range(count):
        joined = "b" if draw.random() < joined_right else "a"
        found.append(trajectory(["a", "b", "c"], ["a", "b", "b"], [0.5, 0.45, 0.3], [0.5, 0.45, 0.5]))
        golds.append(joined)
    return found, golds


def test_what_joining_is_worth_is_learned_from_discussions() -> None:
    useful, useless = fit_moves(*discussions(100, 0.95)), fit_moves(*discussions(100, 0.05))
    assert useful.joined > useless.joined
    assert discussions(1, 1)[0][0].vote(useful).answer == "b"
    assert discussions(1, 1)[0][0].vote(useless).answer == "a"


def test_without_discussions_or_gold_answers_nothing_is_learned() -> None:
    assert fit_moves([], []) == ECHOES
    found, _ = discussions(5, 1.0)
    assert fit_moves(found, [None] * 5) == ECHOES
    silent = trajectory([None], [None], [0.5], [0.5])
    assert fit_moves([silent], ["a"]) == ECHOES
    assert silent.vote(MoveOdds(found=1.0)).answer is None


def test_a_gold_answer_that_nobody_gave_counts_against_all() -> None:
    found, _ = discussions(50, 1.0)
    assert fit_moves(found, ["z"] * 50).first < 1.0
