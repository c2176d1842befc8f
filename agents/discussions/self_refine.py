"""`self-refine`: the first agent answers, criticises itself, revises (Madaan and others, https://arxiv.org/abs/2303.17651)."""

from __future__ import annotations

from dataclasses import dataclass

from agents import prompts
from agents.conversation import AgentCall, Conversation


@dataclass(frozen=True)
class SelfRefine:
    """`times` pairs of feedback and revision. The critic is a seat of its own, played by the same model."""

    times: int = 2

    async def __call__(self, conversation: Conversation) -> None:
        """Let the first agent answer, then criticise and revise its reply `times` times."""
        author = conversation.panel[0]
        critic = conversation.seat(conversation.agent(author), role="critic")
        question, limits = conversation.question, conversation.terms.limits
        (latest,) = await conversation.open([author])
        conversation.vote("majority")
        for _ in range(self.times):
            reply = conversation.turns[latest].text
            asked = prompts.criticise(question, reply, limits)
            (feedback,) = await conversation.ask([AgentCall(critic, asked, (latest,))])
            critique = conversation.turns[feedback]
            if critique.error is not None:
                conversation.stopped = "no feedback"
                return
            asked = prompts.revise(question, reply, critique.text, limits)
            (latest,) = await conversation.ask([AgentCall(author, asked, (latest, feedback))])
            conversation.vote("majority")
        conversation.stopped = "rounds"
