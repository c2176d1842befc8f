"""One reply made of many: an aggregator reads all that stand and writes the team's."""

from __future__ import annotations

from agents import prompts
from agents.agent import Agent
from agents.conversation import AgentCall, Conversation


async def aggregate(conversation: Conversation, aggregator: Agent | None = None) -> None:
    """One more reply, by an aggregator who has read all standing ones; it is the team's unless it abstains. Where the
    aggregator has failed before, another agent of the panel stands in."""
    wanted = aggregator or conversation.agent(conversation.panel[0])
    seat = conversation.seat(conversation.stand_in(wanted), role="aggregator")
    received, asked = readable_replies(conversation)
    (last,) = await conversation.ask([AgentCall(seat, asked, received)])
    conversation.decide(last)


def readable_replies(conversation: Conversation) -> tuple[tuple[int, ...], prompts.Messages]:
    """(places of the standing replies, the prompt that shows them)."""
    received = tuple(place for place in conversation.standing() if conversation.turns[place].error is None)
    replies = [conversation.turns[place].text for place in received]
    return received, prompts.combine(conversation.question, replies, conversation.terms.limits)
