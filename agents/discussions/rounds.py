"""Discussions in rounds: `vote`, `reconcile`, `debate`, `sparse-debate` are one coroutine made of different parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agents.conversation import Conversation
from agents.discussions.aggregation import aggregate
from agents.discussions.parts import BuildPrompt, StopRule, VisibleTurns, consensus, everybody, grouped, next_round
from agents.trajectories import TalkRule

SURE = "the first vote is sure"
WORTHLESS = "talk was worth nothing on validation questions"


@dataclass(frozen=True)
class Rounds:
    """All answer alone; then, for at most `rounds` rounds, all read and answer again. After every round each of
    `rules` counts; the last of them decides."""

    rounds: int
    sees: VisibleTurns = everybody
    shows: BuildPrompt = grouped
    stops: StopRule = consensus
    rules: Sequence[str] = ("majority",)
    weighed: bool = False
    """Whether the terms' talk rule counts, where there is one: it says which first votes are discussed at all, and how
    the replies after a round are weighed."""

    async def __call__(self, conversation: Conversation) -> None:
        """Open with one reply per agent, then discuss."""
        await conversation.open()
        await self.discuss(conversation)

    async def discuss(self, conversation: Conversation) -> None:
        """After the first replies. Where all answers to an open question differ at the end, an aggregator writes."""
        self._vote(conversation)
        for number in range(self.rounds):
            reason = self.stops(conversation)
            if reason is None and number == 0:
                reason = self._settled(conversation)
            if reason is not None:
                conversation.stopped = reason
                return
            await next_round(conversation, self.sees, self.shows)
            self._vote(conversation)
        conversation.stopped = self.stops(conversation) or "rounds"
        if conversation.is_open and conversation.scattered:
            await aggregate(conversation)

    def _vote(self, conversation: Conversation) -> None:
        moved = self._talk(conversation) is not None and conversation.round > 0
        for rule in self.rules:
            if moved and rule == "log-odds":
                conversation.vote("moves", conversation.first_and_last())
            else:
                conversation.vote(rule)

    def _settled(self, conversation: Conversation) -> str | None:
        """Why the first vote is not discussed; None: it is."""
        talk = self._talk(conversation)
        if talk is None or conversation.votes[-1].share < talk.below:
            return None
        return SURE if talk.below > 0 else WORTHLESS

    def _talk(self, conversation: Conversation) -> TalkRule | None:
        """What talking is worth; fitted on questions of a kind, it says nothing about open ones."""
        return None if conversation.is_open or not self.weighed else conversation.terms.talk
