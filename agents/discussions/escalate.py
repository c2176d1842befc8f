"""`escalate`: one agent after the other answers, for as long as a further reply is worth a call; then a discussion."""

from __future__ import annotations

from dataclasses import dataclass

from agents.conversation import Conversation
from agents.discussions.rounds import Rounds
from agents.vote_rules import RULES
from agents.votes import options_of


@dataclass(frozen=True)
class Escalate:
    """Asks in the order of the panel and counts by the log-odds vote. The terms' `asking` rule says when that is
    enough; without one the vote's share must reach `threshold`. A whole panel whose vote is below `threshold` goes on
    to `discussion`."""

    discussion: Rounds
    threshold: float = 0.8

    async def __call__(self, conversation: Conversation) -> None:
        """One first reply at a time, then perhaps rounds."""
        panel = conversation.panel
        for number, seat in enumerate(panel, 1):
            await conversation.open([seat])
            conversation.vote("log-odds")
            reason = self._enough(conversation, last=number == len(panel))
            if reason is not None:
                conversation.stopped = reason
                return
        await self.discussion.discuss(conversation)

    def _enough(self, conversation: Conversation, *, last: bool) -> str | None:
        standing = conversation.standing()
        replies = sum(conversation.turns[place].error is None for place in standing)
        verdict = RULES["log-odds"](conversation, standing)
        asking = conversation.terms.asking
        if asking is not None and not last:
            return asking(replies, verdict, options_of(conversation.question)) if replies else None
        if verdict.answer is None or verdict.share < self.threshold:
            return None
        return "confident alone" if replies == 1 else "confident together"
