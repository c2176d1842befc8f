"""The log-odds vote of recruited experts, fitted on validation questions with recorded answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from agents.answers import canonical
from agents.question import Kind, Question
from agents.votes import Odds, Verdict, fit_log_odds, log_odds, options_of
from router.ballots import Replies, cast_votes
from router.crossfit import Fit, folds, out_of_fold
from router.embedding import Features
from router.row import Row
from router.table import Table
from router.trial import FOLDS


def held_out_odds(table: Table, features: Features, fit: Fit, recruit: int, seed: int = 0) -> Odds | None:
    """The odds that suit the votes of `recruit` experts, each question's recruited by a router fitted on other ones.
    None, which takes probabilities at their word, where the table has too little to fit on."""
    if (parts := min(FOLDS, len(set(table.questions)))) < 2:
        return None
    held_out = out_of_fold(fit, table, features, folds(table, parts, seed))
    try:
        return fit_log_odds(*cast_votes(table, held_out, recruit, "topk", recorded_answer))
    except ValueError:
        return None


def by_log_odds(question: Question, replies: Replies, chances: Sequence[float], odds: Odds | None) -> Verdict:
    """The vote of replies with these probabilities; without `odds` by as many options as the question has."""
    return log_odds(replies, chances, **(odds or Odds(options_of(question)))._asdict())


def recorded_answer(row: Row, answer: str) -> str | None:
    """A recorded answer in canonical form, where the row says of what kind it is; else as it stands."""
    choices = row.extra.get("choices")
    if isinstance(choices, dict) and choices and all(isinstance(text, str) for text in choices.values()):
        return canonical(answer, "choice", choices)
    kind = row.extra.get("kind")
    if isinstance(kind, str) and kind in get_args(Kind) and kind != "choice":
        return canonical(answer, kind)  # type: ignore[arg-type]
    return answer.strip() or None
