"""Rules by which a conversation's turns are counted, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from agents import votes
from agents.confidence import paper_weight
from agents.question import Question
from agents.trajectories import MoveOdds, TalkRule, Trajectory
from agents.transcript import Turn


class PanelTurns(Protocol):
    """As much of a conversation as rules count."""

    question: Question
    turns: list[Turn]

    @property
    def odds(self) -> votes.Odds:
        """Of the log-odds vote."""
        ...

    @property
    def talk(self) -> TalkRule | None:
        """What talking is worth to these agents; None: not known."""
        ...

    def answer_of(self, place: int) -> str | None:
        """A turn's answer."""
        ...

    def probability(self, place: int) -> float:
        """How likely a turn's answer is right."""
        ...


def _majority(conversation: PanelTurns, places: Sequence[int]) -> votes.Verdict:
    turns = [conversation.turns[place] for place in places]
    return votes.majority([conversation.answer_of(place) for place in places], [turn.confidence for turn in turns])


def _paper(conversation: PanelTurns, places: Sequence[int]) -> votes.Verdict:
    sure = [conversation.turns[place].confidence for place in places]
    weights = [paper_weight(one) for one in sure]
    return votes.weighted([conversation.answer_of(place) for place in places], weights, sure)


def _log_odds(conversation: PanelTurns, places: Sequence[int]) -> votes.Verdict:
    return votes.log_odds(
        [conversation.answer_of(place) for place in places],
        [conversation.probability(place) for place in places],
        conversation.odds,
        options=votes.options_of(conversation.question),
        confidences=[conversation.turns[place].confidence for place in places],
    )


def _moves(conversation: PanelTurns, places: Sequence[int]) -> votes.Verdict:
    """`places`: as `Conversation.first_and_last`."""
    talk = conversation.talk
    return trajectory_of(conversation, places).vote(talk.moves if talk else MoveOdds())


def trajectory_of(conversation: PanelTurns, places: Sequence[int]) -> Trajectory:
    """What the agents did between their first turns and their last ones (`Conversation.first_and_last`)."""
    options, odds = votes.options_of(conversation.question), conversation.odds
    halves = places[: len(places) // 2], places[len(places) // 2 :]
    answers = [[conversation.answer_of(place) for place in half] for half in halves]
    weights = [
        votes.log_odds_weights([conversation.probability(place) for place in half], odds, options) for half in halves
    ]
    return Trajectory(answers[0], answers[1], weights[0], weights[1], options)


VoteRule = Callable[[PanelTurns, Sequence[int]], votes.Verdict]
RULES: Mapping[str, VoteRule] = {"majority": _majority, "weighted": _paper, "log-odds": _log_odds, "moves": _moves}
"""`weighted` is the paper's: by its table of stated confidences. `log-odds` counts calibrated probabilities, `moves`
what first replies became (`trajectories`)."""
