"""Which expert answered a conversation last: its next turn goes there again, unless another one is clearly better. That
expert has the conversation's beginning in its prefix cache, and knows the tools that it called."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

from orchestrator.inference.caller import caller
from orchestrator.inference.request import PromptMessage
from router.ranking import Evidence, Ranking

KEPT = 20_000
"""Conversations that one process remembers: the newest."""
TAIL = 3
"""Messages by which a turn is known again. Clients cut long conversations at the head and change the system prompt."""
CLEARLY = 0.1
"""By how much likelier another expert must be right to take a conversation over."""


class ConversationExperts:
    """Expert of each conversation's last reply, by who asked and what was asked: no caller learns of another's chats.
    One per process, lives on one event loop."""

    def __init__(self, kept: int = KEPT) -> None:
        self._experts: OrderedDict[bytes, str] = OrderedDict()
        self._kept = kept

    def last(self, messages: Sequence[PromptMessage]) -> str | None:
        """Who gave the conversation's latest reply that was given here; None: nobody, or it is forgotten."""
        turns = _turns(messages)
        for place in range(len(turns) - 1, 0, -1):
            if turns[place][0] == "assistant" and (found := self._experts.get(_key(turns[:place]))) is not None:
                return found
        return None

    def answered(self, messages: Sequence[PromptMessage], expert: str) -> None:
        """Note who answered these messages."""
        key = _key(_turns(messages))
        self._experts[key] = expert
        self._experts.move_to_end(key)
        while len(self._experts) > self._kept:
            self._experts.popitem(last=False)


def stay(ranking: Ranking, last: str, *, tools: bool = False) -> Ranking:
    """The ranking with the conversation's last expert first, and why, unless another one is clearly likelier to be
    right. `tools`: the chat ends in results of tools that this expert called, which nobody else gets."""
    entries = {entry.expert: entry for entry in ranking.entries}
    if last not in entries or ranking.entries[0].expert == last:
        return ranking
    best = ranking.entries[0]
    unlike = any(one.kind == "default" for one in ranking.evidence)
    gap = best.score - entries[last].score if "cost" in best.terms else best.probability - entries[last].probability
    if not tools and not unlike and gap > CLEARLY:
        return ranking
    why = "it called the tools" if tools else f"{best.expert} is not clearly better (by {gap:.2f}, at most {CLEARLY})"
    if unlike and not tools:
        why = "nothing in the profile says that another one is better"
    first = [entries[last], *(entry for entry in ranking.entries if entry.expert != last)]
    evidence = Evidence("conversation", f"{last} answered this conversation before, and {why}", gap, last)
    return Ranking(tuple(first), (evidence, *(one for one in ranking.evidence if one.kind != "default")))


def _turns(messages: Sequence[PromptMessage]) -> list[PromptMessage]:
    return [(role, text) for role, text in messages if role not in ("system", "developer")]


def _key(turns: Sequence[PromptMessage]) -> bytes:
    digest = hashlib.sha256(f"{caller.get()}\0".encode())
    for role, text in turns[-TAIL:]:
        digest.update(f"{role}\0{len(text)}\0{text}\0".encode(errors="surrogatepass"))
    return digest.digest()
