"""The log-odds vote of recruited experts, fitted on validation questions with recorded answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from agents.answers import canonical
from agents.question import AnswerKind
from agents.votes import AT_THEIR_WORD, OPTIONS, Odds, fit_log_odds
from router.ballots import Ballots, cast_votes
from router.crossfit import Fit, folds, out_of_fold
from router.embedding import Features
from router.row import Row
from router.table import Table
from router.trial import FOLDS


def held_out_odds(
    table: Table, features: Features, fit: Fit, recruited: Sequence[int], seed: int = 0
) -> tuple[Odds, ...]:
    """The odds that suit votes of so many experts each, every question's recruited by a router fitted on other ones.
    Probabilities at their word where the table has too little to fit on."""
    parts = min(FOLDS, len(set(table.questions)))
    if parts < 3:  # a router needs two questions to fit on
        return (AT_THEIR_WORD,) * len(recruited)
    held_out = out_of_fold(fit, table, features, folds(table, parts, seed))
    ballots, options = Ballots(table, recorded_answer), [options_in(row) for row in table.rows]
    found = []
    for k in recruited:
        try:
            found.append(fit_log_odds(*cast_votes(ballots, held_out, k, "topk"), options))
        except ValueError:
            found.append(AT_THEIR_WORD)
    return tuple(found)


def recorded_answer(row: Row, answer: str) -> str | None:
    """A recorded answer in canonical form, where the row says of what kind it is; else as it stands."""
    choices = row.extra.get("choices")
    if isinstance(choices, dict) and choices and all(isinstance(text, str) for text in choices.values()):
        return canonical(answer, "choice", choices)
    kind = row.extra.get("kind")
    if isinstance(kind, str) and kind in get_args(AnswerKind) and kind != "choice":
        return canonical(answer, kind)  # type: ignore[arg-type]
    return answer.strip() or None


def options_in(row: Row) -> float:
    """How many answers its question allows, as `votes.options_of` has it."""
    choices = row.extra.get("choices")
    if isinstance(choices, dict | list) and choices:
        return float(max(2, len(choices)))
    return 2.0 if row.extra.get("kind") == "yesno" else OPTIONS
