"""Recorded answers as ballots: who answered what, and what each answer is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from router.ranking import Scores
from router.recruiting import RecruitRule, recruit
from router.row import Row
from router.table import Table

Replies: TypeAlias = Sequence[str | None]
Aggregate: TypeAlias = Callable[[Row, Replies, Sequence[float]], Mapping[str, float]]
"""(row, answers, each one's probability of being right) -> final answer with share 1, or several if it drew lots. It is
asked only where answers differ: the one answer that was given is the answer."""
Canonical: TypeAlias = Callable[[Row, str], str | None]
"""(row, recorded answer) -> text that is equal for equal answers; None for no answer."""


class Ballots:
    """The recorded answers of a table's questions. Missing scores count as 0: nobody answered."""

    def __init__(self, table: Table, canonical: Canonical) -> None:
        self.rows = table.rows
        self.filled = np.nan_to_num(table.correct).astype(np.float64)
        self.recorded = any(row.predictions for row in table.rows)
        self.answers = [answers_of(row, table.experts, canonical) for row in table.rows]
        self.worth = [
            _worth(row, answers, table.experts) for row, answers in zip(table.rows, self.answers, strict=True)
        ]

    def vote(
        self, seats: NDArray[np.intp], probabilities: NDArray[np.float32], aggregate: Aggregate
    ) -> NDArray[np.float64]:
        """Score of the aggregate's answer, [questions]."""
        values = np.zeros(len(seats))
        chances = np.take_along_axis(probabilities, seats, 1).astype(np.float64).tolist()
        for row, (columns, worth) in enumerate(zip(seats.tolist(), self.worth, strict=True)):
            known = self.answers[row]
            answers = [known[column] for column in columns]
            given = {answer for answer in answers if answer is not None}
            if len(given) > 1:
                shares = aggregate(self.rows[row], answers, chances[row])
                values[row] = sum(share * worth[answer] for answer, share in shares.items())
            elif given:
                values[row] = worth[given.pop()]
        return values


def cast_votes(
    table: Table, held_out: Scores, k: int, how: RecruitRule, canonical: Canonical
) -> tuple[list[list[str | None]], list[list[float]], list[str | None]]:
    """What a vote is fitted on: for each question of `table` the recorded answers of the k experts recruited, their
    probabilities, and the gold answer. `held_out`: scores by routers that were not fitted on the question."""
    answers, probabilities, golds = [], [], []
    seats = recruit(held_out, k, how)
    for row, columns, chances in zip(table.rows, seats, held_out.probabilities, strict=True):
        given = answers_of(row, table.experts, canonical)
        answers.append([given[column] for column in columns])
        probabilities.append([float(chances[column]) for column in columns])
        golds.append(gold_of(row, given, table.experts, canonical))
    return answers, probabilities, golds


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
