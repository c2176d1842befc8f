"""Votes over recorded answers, and the log-odds vote fitted on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias, get_args

from agents.answers import canonical
from agents.question import Kind
from agents.votes import Verdict, fit_log_odds, log_odds
from router.ballots import Replies
from router.row import Row

Vote: TypeAlias = Callable[[Replies, Sequence[float]], Verdict]
"""(answers, each one's probability of being right) -> verdict."""


def fit_vote(
    answers: Sequence[Replies], probabilities: Sequence[Sequence[float]], golds: Replies, options: float
) -> Vote | None:
    """The log-odds vote that suits these questions (`votes.fit_log_odds`). None where no question has both a reply and
    a gold answer."""
    try:
        odds = fit_log_odds(answers, probabilities, golds, options)
    except ValueError:
        return None
    return lambda replies, chances: log_odds(replies, chances, **odds._asdict())


def recorded_answer(row: Row, answer: str) -> str | None:
    """A recorded answer in canonical form, where the row says of what kind it is; else as it stands."""
    choices = row.extra.get("choices")
    if isinstance(choices, dict) and choices and all(isinstance(text, str) for text in choices.values()):
        return canonical(answer, "choice", choices)
    kind = row.extra.get("kind")
    if isinstance(kind, str) and kind in get_args(Kind) and kind != "choice":
        return canonical(answer, kind)  # type: ignore[arg-type]
    return answer.strip() or None
