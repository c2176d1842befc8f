"""Votes over a whole table."""

from __future__ import annotations

import numpy as np

from router import Row, Table
from router.ballots import Ballots


def test_answers_that_tie_share_the_score() -> None:
    rows = [Row("1", "a?", {"x": 1.0, "y": 0.0, "z": 0.0}, predictions={"x": "A", "y": "B", "z": None}, answer="A")]
    ballots = Ballots(Table.from_rows(rows), lambda row, answer: answer)
    seats, p = np.array([[0, 1, 2]]), np.array([[0.3, 0.3, 0.9]], np.float32)
    assert ballots.vote(seats, p, lambda rows, p: np.ones_like(p)).tolist() == [0.5]
    assert ballots.vote(seats, p, lambda rows, p: p).tolist() == [0.5]
    p = np.array([[0.4, 0.3, 0.9]], np.float32)
    assert ballots.vote(seats, p, lambda rows, p: p).tolist() == [1.0]
