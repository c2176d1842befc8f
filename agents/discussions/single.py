"""`single`: the first agent answers, alone. What everything else has to beat."""

from __future__ import annotations

from agents.conversation import Conversation


async def single(conversation: Conversation) -> None:
    """Ask the first agent once."""
    await conversation.open(conversation.panel[:1])
    conversation.vote("majority")
