"""How symbolic-moe makes one answer of the recruited experts' replies: votes, those of other packages, or an expert.

To add one, write its vote and add a line to `AGGREGATORS`; one that lives elsewhere is found by its name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from agents.question import Question
from agents.votes import Odds, Verdict, log_odds, majority, options_of, weighted
from orchestrator.errors import BadInput
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.extensions import extension

Vote = Callable[[Question, Sequence[ExpertReply], Sequence[float], Odds], Verdict]
"""(question, its replies, probability that each is right, odds of log-odds votes) -> verdict."""
Weigh = Callable[[Question, Sequence[str | None], Sequence[float]], Sequence[float]]
"""A vote of one's own: (question, answers, probability that each is right) -> weight of each answer, at least 0."""


@dataclass(frozen=True)
class Aggregator:
    """One way to make an answer of replies. Where an expert writes the answer, the vote stands if it fails."""

    note: str
    """What a report says of it."""
    vote: Vote
    fitted: bool = False
    """The odds of its vote are fitted on held-out replies; otherwise they are not used."""
    benchmarked: bool = False
    """An expert writes the answer, chosen by a benchmark for each task."""
    writer: str | None = None
    """The expert that writes the answer."""


def _log_odds(
    question: Question, replies: Sequence[ExpertReply], probabilities: Sequence[float], odds: Odds
) -> Verdict:
    return log_odds([one.reply.answer for one in replies], probabilities, odds, options=options_of(question))


def _majority(
    question: Question, replies: Sequence[ExpertReply], probabilities: Sequence[float], odds: Odds
) -> Verdict:
    return majority([one.reply.answer for one in replies], [one.reply.confidence for one in replies])


AGGREGATORS: Mapping[str, Aggregator] = {
    "log-odds": Aggregator("log-odds vote", _log_odds, fitted=True),
    "majority": Aggregator("majority vote", _majority),
    "benchmark": Aggregator("log-odds vote", _log_odds, fitted=True, benchmarked=True),
}


def aggregator(name: str, experts: Collection[str]) -> Aggregator:
    """The aggregator of this name: built in, an expert that writes the answer, `module:function`, or an entry point of
    the group `collegium.aggregators`. Raises `BadInput` where there is none."""
    if name in AGGREGATORS:
        return AGGREGATORS[name]
    if name in experts:
        return Aggregator(f"{name} writes the answer", _log_odds, fitted=True, writer=name)
    found = extension("collegium.aggregators", name, "--aggregator")
    if found is None:
        have = ", ".join([*AGGREGATORS, *experts])
        raise BadInput(f"--aggregator: no aggregator {name!r}; there are {have}; or give module:function")
    if not callable(found):
        raise BadInput(f"--aggregator: {name!r} is no function but {type(found).__name__}")
    return Aggregator(f"vote by {name}", _own(name, found))


def _own(name: str, weigh: Weigh) -> Vote:
    """A vote of one's own, whose function and question an error names."""

    def vote(question: Question, replies: Sequence[ExpertReply], probabilities: Sequence[float], odds: Odds) -> Verdict:
        where = f"--aggregator: {name}: question {question.id!r}"
        answers = [one.reply.answer for one in replies]
        try:
            weights = [float(weight) for weight in weigh(question, answers, probabilities)]
        except Exception as error:
            raise BadInput(f"{where}: {type(error).__name__}: {error}") from error
        if len(weights) != len(answers) or not all(math.isfinite(weight) and weight >= 0 for weight in weights):
            raise BadInput(f"{where}: returned {weights}, not {len(answers)} finite weights of at least 0")
        return weighted(answers, weights, [one.reply.confidence for one in replies])

    return vote
