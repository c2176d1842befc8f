"""`escalate`: one expert; if it is not sure a vote; if that is not sure a discussion."""

from __future__ import annotations

from dataclasses import dataclass

from agents.conversation import Conversation
from agents.discussions.rounds import Rounds


@dataclass(frozen=True)
class Escalate:
    """The panel's first agent answers; then, as long as the calibrated confidence is below `threshold`, the rest of
    the panel (log-odds vote), then `discussion`."""

    discussion: Rounds
    threshold: float = 0.8

    async def __call__(self, conversation: Conversation) -> None:
        """Ask the first agent; ask the others only where its probability is below `threshold`."""
        first, *rest = conversation.panel
        (place,) = await conversation.open([first])
        alone = conversation.vote("log-odds")
        if alone.answer is not None and conversation.probability(place) >= self.threshold:
            conversation.stopped = "confident alone"
            return
        if rest:
            await conversation.open(rest)
            together = conversation.vote("log-odds")
            if together.answer is not None and together.share >= self.threshold:
                conversation.stopped = "confident together"
                return
        await self.discussion.discuss(conversation)
