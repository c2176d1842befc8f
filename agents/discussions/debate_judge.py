"""`debate-judge`: a debate, after which a judge decides (Liang and others, https://arxiv.org/abs/2305.19118)."""

from __future__ import annotations

from dataclasses import dataclass

from agents import prompts
from agents.agent import Agent
from agents.conversation import AgentCall, Conversation, Discussion


@dataclass(frozen=True)
class DebateJudge:
    """`debate`, then one reply of a judge who has read the last words. If the judge abstains, the vote stands."""

    debate: Discussion
    judge: Agent | None = None
    """None: the panel's first agent."""

    async def __call__(self, conversation: Conversation) -> None:
        """Debate, then let the judge decide on the replies that stand."""
        await self.debate(conversation)
        wanted = self.judge or conversation.agent(conversation.panel[0])
        seat = conversation.seat(conversation.stand_in(wanted), role="judge")
        received = tuple(place for place in conversation.standing() if conversation.turns[place].error is None)
        replies = [conversation.turns[place].text for place in received]
        asked = prompts.judge(conversation.question, replies, conversation.terms.limits)
        (verdict,) = await conversation.ask([AgentCall(seat, asked, received)])
        conversation.decide(verdict)
