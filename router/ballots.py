"""Recorded answers as ballots: who answered what, and what each answer is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from router.ranking import Scores
from router.recruiting import RecruitRule, recruit
from router.row import Row
from router.table import Table

Replies: TypeAlias = Sequence[str | None]
Aggregate: TypeAlias = Callable[[Sequence[Row], NDArray[np.float64]], NDArray[np.float64]]
"""(rows, probability of each recruited expert's answer, [questions, k]) -> weight of each answer, same shape."""
Canonical: TypeAlias = Callable[[Row, str], str | None]
"""(row, recorded answer) -> text that is equal for equal answers; None for no answer."""


DIGITS = 9
"""Weights are compared to so many decimals: 0.1 + 0.2 ties with 0.3."""


class Ballots:
    """The recorded answers of a table's questions. Missing scores count as 0: nobody answered."""

    def __init__(self, table: Table, canonical: Canonical) -> None:
        self.rows, self.experts = table.rows, table.experts
        self.filled = np.nan_to_num(table.correct).astype(np.float64)
        self.recorded = any(row.predictions for row in table.rows)
        self.answers = [answers_of(row, table.experts, canonical) for row in table.rows]
        self.golds = [
            gold_of(row, answers, table.experts, canonical)
            for row, answers in zip(table.rows, self.answers, strict=True)
        ]
        self.codes = np.full(self.filled.shape, -1, np.intp)
        """Number of each answer among its question's different ones; -1: abstained."""
        self.gold_codes = np.full(len(table.rows), -1, np.intp)
        """Number of the gold answer; the next free one where nobody gave it, -1 where it is not known."""
        self._worth = np.zeros(self.filled.shape)
        """What each expert's answer scores as the final one."""
        for index, (row, answers) in enumerate(zip(table.rows, self.answers, strict=True)):
            worth = _worth(row, answers, table.experts)
            numbers = {answer: number for number, answer in enumerate(worth)}
            if (gold := self.golds[index]) is not None:
                self.gold_codes[index] = numbers.get(gold, len(numbers))
            for column, answer in enumerate(answers):
                if answer is not None:
                    self.codes[index, column] = numbers[answer]
                    self._worth[index, column] = worth[answer]

    def vote(
        self, seats: NDArray[np.intp], probabilities: NDArray[np.float32], aggregate: Aggregate
    ) -> NDArray[np.float64]:
        """Score of the answer with the greatest weight, [questions]; answers that tie share it equally."""
        codes = np.take_along_axis(self.codes, seats, 1)
        worth = np.take_along_axis(self._worth, seats, 1)
        chances = np.take_along_axis(probabilities, seats, 1).astype(np.float64)
        weights = aggregate(self.rows, chances)
        given = codes >= 0
        same = (codes[:, :, None] == codes[:, None, :]) & given[:, None, :]
        totals = np.round((same * weights[:, None, :]).sum(2), DIGITS)
        highest = np.where(given, totals, -np.inf).max(1, keepdims=True)
        first = ~np.tril(same, -1).any(2)  # one seat speaks for each answer
        tied = given & first & (totals == highest)
        return np.asarray((worth * tied).sum(1) / np.maximum(tied.sum(1), 1), np.float64)


def cast_votes(
    ballots: Ballots, held_out: Scores, k: int, how: RecruitRule
) -> tuple[list[list[str | None]], list[list[float]], list[str | None]]:
    """What a vote is fitted on: for each question the recorded answers of the k experts recruited, their probabilities,
    and the gold answer. `held_out`: scores by routers that were not fitted on the question."""
    seats = recruit(held_out, k, how)
    chances = np.take_along_axis(held_out.probabilities, seats, 1).astype(np.float64).tolist()
    answers = [[given[column] for column in seat] for given, seat in zip(ballots.answers, seats.tolist(), strict=True)]
    return answers, chances, ballots.golds


def answers_of(row: Row, experts: Sequence[str], canonical: Canonical) -> list[str | None]:
    """Recorded answers in the experts' order; None for an abstention or nothing recorded."""
    given = [row.predictions.get(expert) for expert in experts]
    return [None if answer is None else canonical(row, answer) for answer in given]


def gold_of(row: Row, answers: Replies, experts: Sequence[str], canonical: Canonical) -> str | None:
    """The row's answer; else what an expert that was wholly right answered; else None."""
    if row.answer is not None:
        return canonical(row, row.answer)
    right = (a for a, name in zip(answers, experts, strict=True) if row.correct.get(name) == 1)
    return next((answer for answer in right if answer is not None), None)


def _worth(row: Row, answers: Replies, experts: Sequence[str]) -> dict[str, float]:
    """Each answer's score: the mean of the experts who gave it and were scored."""
    scores: dict[str, list[float]] = {}
    for answer, expert in zip(answers, experts, strict=True):
        if answer is not None:
            scores.setdefault(answer, []).extend([row.correct[expert]] if expert in row.correct else [])
    return {answer: float(np.mean(found)) if found else 0.0 for answer, found in scores.items()}
