"""Discussions in rounds: `vote`, `reconcile`, `debate`, `sparse-debate` are one coroutine made of different parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agents.conversation import Conversation
from agents.discussions.aggregation import aggregate
from agents.discussions.parts import BuildPrompt, StopRule, VisibleTurns, consensus, everybody, grouped, next_round


@dataclass(frozen=True)
class Rounds:
    """All answer alone; then, for at most `rounds` rounds, all read and answer again. After every round each of
    `rules` counts; the last of them decides."""

    rounds: int
    sees: VisibleTurns = everybody
    shows: BuildPrompt = grouped
    stops: StopRule = consensus
    rules: Sequence[str] = ("majority",)

    async def __call__(self, conversation: Conversation) -> None:
        """Open with one reply per agent, then discuss."""
        await conversation.open()
        await self.discuss(conversation)

    async def discuss(self, conversation: Conversation) -> None:
        """After the first replies. Where all answers to an open question differ at the end, an aggregator writes."""
        self._vote(conversation)
        for _ in range(self.rounds):
            if reason := self.stops(conversation):
                conversation.stopped = reason
                return
            await next_round(conversation, self.sees, self.shows)
            self._vote(conversation)
        conversation.stopped = self.stops(conversation) or "rounds"
        if conversation.is_open and conversation.scattered:
            await aggregate(conversation)

    def _vote(self, conversation: Conversation) -> None:
        for rule in self.rules:
            conversation.vote(rule)
