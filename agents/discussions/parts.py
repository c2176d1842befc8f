"""What discussions are made of, each part exchangeable: who sees whom, what is shown, when to stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agents import prompts
from agents.conversation import AgentCall, Conversation
from agents.prompts import AnswerGroup, Explanation, Messages

VisibleTurns = Callable[[int, int], Sequence[int]]
"""(seat, seats) -> the seats whose last replies it reads; 0 <= seat < seats."""
BuildPrompt = Callable[[Conversation, int, Sequence[int]], Messages]
"""(conversation, seat, places of the turns it reads) -> its prompt."""
StopRule = Callable[[Conversation], str | None]
"""After a round: why no further one follows, or None."""

# Who sees whom ----------------------------------------------------------------------------------------------


def everybody(seat: int, seats: int) -> Sequence[int]:
    """Each sees all replies, its own among them (ReConcile)."""
    return range(seats)


def ring(seat: int, seats: int) -> Sequence[int]:
    """Each sees itself and its two neighbours (Li and others, https://arxiv.org/abs/2406.11776)."""
    return sorted({seat, (seat - 1) % seats, (seat + 1) % seats})


def star(seat: int, seats: int) -> Sequence[int]:
    """The first sees all; the others see the first and themselves."""
    return range(seats) if seat == 0 else (0, seat)


def graph(edges: Sequence[tuple[int, int]]) -> VisibleTurns:
    """Each sees itself, and seat `a` for every edge (a, b) that ends in it. Raises ValueError for a negative seat."""
    if any(seat < 0 for edge in edges for seat in edge):
        raise ValueError(f"edges: seats are counted from 0, got {min(edges)}")

    def sees(seat: int, seats: int) -> Sequence[int]:
        return sorted({seat, *(a for a, b in edges if b == seat and a < seats)})

    return sees


TOPOLOGIES: dict[str, VisibleTurns] = {"all": everybody, "ring": ring, "star": star}


def topology(name: str) -> VisibleTurns:
    """By name, or a graph as "0>1,1>2" (seat 1 reads seat 0, ...). Raises ValueError."""
    if name in TOPOLOGIES:
        return TOPOLOGIES[name]
    try:
        pairs = [edge.split(">") for edge in name.split(",")]
        return graph([(int(a), int(b)) for a, b in pairs])
    except ValueError as error:
        raise ValueError(f"topology {name!r}: one of {', '.join(TOPOLOGIES)}, or edges such as 0>1,1>2") from error


# What is shown ----------------------------------------------------------------------------------------------


def grouped(conversation: Conversation, seat: int, places: Sequence[int]) -> Messages:
    """Answers with all who gave them, their explanations and how sure they are (ReConcile, section 3.2)."""
    explanations: dict[str, list[Explanation]] = {}
    for place in places:
        answer = conversation.answer_of(place)
        if answer is not None:
            explanation = Explanation(conversation.turns[place].reasoning, conversation.displayed_confidence(place))
            explanations.setdefault(answer, []).append(explanation)
    groups = [AnswerGroup(answer, tuple(given)) for answer, given in explanations.items()]
    own = any(conversation.turns[place].seat == seat and conversation.answer_of(place) is not None for place in places)
    return prompts.discuss(
        conversation.question, groups, conversation.samples(seat), conversation.terms.limits, own=own
    )


def one_by_one(conversation: Conversation, seat: int, places: Sequence[int]) -> Messages:
    """The others' replies, and its own as its own turn of the chat (Du and others)."""
    own = next((place for place in places if conversation.turns[place].seat == seat), None)
    others = [conversation.turns[place].text for place in places if place != own]
    own_text = None if own is None else conversation.turns[own].text
    return prompts.debate(conversation.question, own_text, others, conversation.terms.limits)


# When to stop -----------------------------------------------------------------------------------------------


def consensus(conversation: Conversation) -> str | None:
    """All who answer agree, and more than half of the panel answers; or nobody does, so that there is nothing to
    discuss."""
    standing = conversation.standing()
    answers = [answer for place in standing if (answer := conversation.answer_of(place)) is not None]
    if not answers:
        return "no answer"
    return "consensus" if len(set(answers)) == 1 and 2 * len(answers) > len(conversation.panel) else None


# A further round --------------------------------------------------------------------------------------------


async def next_round(conversation: Conversation, sees: VisibleTurns, shows: BuildPrompt) -> list[int]:
    """Everybody of the panel speaks again, having read what `sees` and `shows` give it of the standing replies.
    Places of the new turns."""
    panel = conversation.panel
    # Only what a prompt really shows has been heard: an answer, or with one-by-one replies any text.
    readable = [turn for turn in conversation.standing() if conversation.turns[turn].error is None]
    if shows is grouped:
        readable = [turn for turn in readable if conversation.turns[turn].answer is not None]
    asks = []
    # Equal prompts are one object, however many agents get them.
    made: dict[tuple[tuple[int, ...], bool], Messages] = {}
    alike = shows is grouped and not conversation.terms.samples
    for place, seat in enumerate(panel):
        seen = {panel[other] for other in sees(place, len(panel))}
        received = tuple(turn for turn in readable if conversation.turns[turn].seat in seen)
        key = received, any(conversation.turns[turn].seat == seat for turn in received)
        messages = made.get(key) if alike else None
        if messages is None:
            messages = made[key] = shows(conversation, seat, received)
        asks.append(AgentCall(seat, messages, received))
    return await conversation.ask(asks)
