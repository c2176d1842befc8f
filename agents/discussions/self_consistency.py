"""`self-consistency`: several samples of the first agent, majority (Wang and others, https://arxiv.org/abs/2203.11171)."""

from __future__ import annotations

from dataclasses import dataclass

from agents.conversation import Conversation


@dataclass(frozen=True)
class SelfConsistency:
    """`samples` replies to one prompt. They differ only if the agent samples (temperature above 0)."""

    samples: int = 5

    async def __call__(self, conversation: Conversation) -> None:
        """Draw `samples` replies of the first agent and let them vote."""
        first = conversation.panel[0]
        more = [conversation.seat(conversation.agent(first)) for _ in range(self.samples - 1)]
        await conversation.open([first, *more])
        conversation.vote("majority")
