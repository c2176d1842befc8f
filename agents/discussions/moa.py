"""`moa`: layers of agents that each read the layer before, then an aggregator (https://arxiv.org/abs/2406.04692)."""

from __future__ import annotations

from dataclasses import dataclass

from agents.agent import Agent
from agents.conversation import AgentCall, Conversation
from agents.discussions.aggregation import aggregate, readable_replies


@dataclass(frozen=True)
class MixtureOfAgents:
    """`layers` layers of the whole panel, then one reply of the aggregator; its answer is the team's. If it abstains,
    the last layer's vote stands."""

    layers: int = 2
    aggregator: Agent | None = None
    """None: the panel's first agent."""

    async def __call__(self, conversation: Conversation) -> None:
        """Open, refine in layers, then aggregate."""
        await conversation.open()
        conversation.vote("majority")
        for _ in range(self.layers - 1):
            received, asked = readable_replies(conversation)
            await conversation.ask([AgentCall(seat, asked, received) for seat in conversation.panel])
            conversation.vote("majority")
        await aggregate(conversation, self.aggregator)
