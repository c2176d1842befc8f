"""What transcripts show of a discussion: accuracy after each round, minds changed, agreement, calibration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from agents.transcript import Transcript, Turn

AnswerChange = Literal["rescued", "corrupted", "kept right", "kept wrong"]


@dataclass(frozen=True, slots=True)
class RoundFigures:
    """One round, over all questions. Questions that had settled before keep what they had; shares are of all
    questions with a gold answer."""

    round: int
    discussed: int
    """Questions that had this round."""
    majority: float
    """Share right by number of votes."""
    deciding: float
    """Share right by the rule that decides."""
    anyone: float
    """Share on which at least one agent is right: what no vote can pass."""
    consensus: float
    """Share on which all who answer agree."""
    mean_agent: float
    """Mean share of the panel that is right."""
    to_right: int
    """Agents' answers that turned from wrong to right in this round."""
    to_wrong: int
    changed: int
    """Answers that changed at all (abstentions apart), right or wrong."""
    abstentions: int
    tokens: int


def round_figures(transcripts: Sequence[Transcript]) -> list[RoundFigures]:
    """By round, from the first replies to the last round that any question had. Critics, judges and aggregators are
    no agents of the panel here; where no question has a gold answer the shares are 0."""
    states = [_states(one) for one in transcripts]
    last = max((len(one) for one in states), default=0)
    return [_figures(number, transcripts, states) for number in range(last)]


def fate(transcript: Transcript) -> AnswerChange | None:
    """What the discussion did to the deciding vote of the first replies; None without a gold answer."""
    first = next((vote for vote in reversed(transcript.votes) if vote.round == 0), None)
    before, after = transcript.is_right(first.answer if first else None), transcript.is_right(transcript.answer)
    if before is None:
        return None
    if before == after:
        return "kept right" if after else "kept wrong"
    return "rescued" if after else "corrupted"


def split(transcript: Transcript) -> bool:
    """Whether the panel ended in disagreement."""
    return len({turn.answer for turn in _states(transcript)[-1].values() if turn.answer is not None}) > 1


def changes(transcript: Transcript) -> Iterator[tuple[Turn, Turn]]:
    """(before, after) of every agent that changed its answer, round by round; abstentions are no answers."""
    states = _states(transcript)
    for before, after in pairwise(states):
        for seat, turn in after.items():
            old = before.get(seat)
            if old is not None and old.answer != turn.answer and None not in (old.answer, turn.answer):
                yield old, turn


def sure_and_right(transcripts: Sequence[Transcript]) -> list[tuple[str, float, bool]]:
    """(agent's model, its confidence, whether its answer is right) of every first reply that has both."""
    rows = []
    for one in transcripts:
        for _, turn in one.in_round(0):
            right = one.is_right(turn.answer)
            if turn.confidence is not None and right is not None and turn.answer is not None:
                rows.append((one.seats[turn.seat].model, turn.confidence, right))
    return rows


def _states(transcript: Transcript) -> list[dict[int, Turn]]:
    """After each round: seat -> the turn that stands for it."""
    panel = {place for place, seat in enumerate(transcript.seats) if not seat.role}
    states: list[dict[int, Turn]] = []
    for number in range(transcript.rounds):
        state = dict(states[-1]) if states else {}
        for _, turn in transcript.in_round(number):
            if turn.seat in panel and (turn.error is None or turn.seat not in state):
                state[turn.seat] = turn
        states.append(state)
    return states or [{}]


def _figures(number: int, transcripts: Sequence[Transcript], states: Sequence[list[dict[int, Turn]]]) -> RoundFigures:
    judged = majority = deciding = anyone = agreed = to_right = to_wrong = changed = abstentions = tokens = 0
    agents = 0.0
    for one, own in zip(transcripts, states, strict=True):
        state = own[min(number, len(own) - 1)]
        answers = [turn.answer for turn in state.values() if turn.answer is not None]
        agreed += len(set(answers)) == 1
        turns = [turn for _, turn in one.in_round(number)]
        tokens += sum(turn.prompt_tokens + turn.completion_tokens for turn in turns)
        abstentions += sum(turn.abstains and one.seats[turn.seat].role != "critic" for turn in turns)
        if 0 < number < len(own):
            for seat, turn in state.items():
                old = own[number - 1].get(seat)
                before, after = old.answer if old else None, turn.answer
                was, now = one.is_right(before), one.is_right(after)
                changed += None not in (before, after) and before != after
                to_right += was is False and now is True
                to_wrong += was is True and now is False
        if one.question.answer is None:
            continue
        judged += 1
        votes = [vote for vote in one.votes if vote.round <= number]
        by_number = [vote for vote in votes if vote.rule == "majority"]
        majority += bool(by_number) and bool(one.is_right(by_number[-1].answer))
        deciding += bool(votes) and bool(one.is_right(votes[-1].answer))
        rights = [bool(one.is_right(turn.answer)) for turn in state.values()]
        anyone += any(rights)
        agents += sum(rights) / len(rights) if rights else 0.0
    of = max(judged, 1)
    return RoundFigures(
        round=number,
        discussed=sum(one.rounds > number for one in transcripts),
        majority=majority / of,
        deciding=deciding / of,
        anyone=anyone / of,
        consensus=agreed / max(len(transcripts), 1),
        mean_agent=agents / of,
        to_right=to_right,
        to_wrong=to_wrong,
        changed=changed,
        abstentions=abstentions,
        tokens=tokens,
    )
