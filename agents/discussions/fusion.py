"""`fusion`: a panel answers an open question in parallel, a judge compares, a synthesiser writes one answer.

A question of a kind (a number, a choice) is no matter of taste: there the panel votes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agents import prompts
from agents.agent import Agent
from agents.analysis import ANALYSIS_SCHEMA, parse_analysis
from agents.conversation import AgentCall, Conversation
from agents.transcript import Transcript

JUDGE, SYNTHESISER = "judge", "synthesiser"
"""Roles of the two seats beside the panel."""
CALLS, SYNTHESIS = "tool calls", "synthesis"
"""Why a fusion stopped: a member of the panel calls tools, so that there is no answer yet; an answer was written."""
_CITED = re.compile(r"\[(\d{1,3}(?:\s{0,2},\s{0,2}\d{1,3}){0,15})\]")


@dataclass(frozen=True)
class Fusion:
    """The panel answers; the judge names consensus, contradictions, unique points and gaps; the first synthesiser
    that gives a reply writes the answer, which is the team's.

    Where the judge fails or cannot be read, the synthesiser sees the panel's replies alone. Where all synthesisers
    fail, the panel's first reply stands. Where only one member of the panel replies, or all reply the same, that reply
    stands, and nobody else is asked.
    """

    judge: Agent | None = None
    """None: no separate judge; the synthesiser compares as it writes."""
    synthesisers: Sequence[Agent] = ()
    """In the order in which they are asked; the panel's members follow."""
    rule: str = "majority"
    """The vote on a question that is not open."""
    cite: bool = True
    """Whether the answer marks what it takes from the reply n with [n]."""
    must_write: bool = False
    """Whether the answer has a form that only a synthesiser is held to: no reply of the panel stands for it."""
    calls_tools: Callable[[str], bool] = lambda text: False
    """Whether a reply calls tools: then there is no answer yet, and all calls are the outcome."""

    async def __call__(self, conversation: Conversation) -> None:
        """Ask the panel, the judge, a synthesiser."""
        panel = await conversation.open()
        if not conversation.is_open:
            conversation.vote(self.rule)
            return
        turns = conversation.turns
        if any(turns[place].error is None and self.calls_tools(turns[place].text) for place in panel):
            conversation.stopped = CALLS
            return
        replied = [place for place in panel if turns[place].answer is not None]
        if not replied:
            conversation.stopped = "no reply"
            return
        if not self.must_write:
            conversation.decide(replied[0])
        alike = len({turns[place].answer for place in replied}) == 1
        if alike and not self.must_write:
            conversation.stopped = "one reply" if len(replied) == 1 else "consensus"
            return
        received = tuple(replied)
        texts = [turns[place].reasoning or turns[place].text for place in replied]
        findings = "" if alike else await self._judged(conversation, received, texts)
        asked = prompts.synthesise(conversation.question, texts, findings, conversation.terms.limits, cite=self.cite)
        members = [conversation.agent(turns[place].seat) for place in replied]
        writers: dict[str, Agent] = {}
        for agent in (*self.synthesisers, *members):
            writers.setdefault(agent.model or agent.name, agent)
        for agent in writers.values():
            (last,) = await conversation.ask([AgentCall(conversation.seat(agent, SYNTHESISER), asked, received)])
            if turns[last].answer is not None:
                conversation.decide(last)
                conversation.stopped = SYNTHESIS
                return
        conversation.stopped = "no synthesis"

    async def _judged(self, conversation: Conversation, received: tuple[int, ...], texts: Sequence[str]) -> str:
        """The judge's findings as lines; empty where there are none."""
        if self.judge is None:
            return ""
        judge = replace(self.judge, structured=True, schema=ANALYSIS_SCHEMA, excused=True)
        asked = prompts.analyse(conversation.question, texts, conversation.terms.limits)
        (place,) = await conversation.ask([AgentCall(conversation.seat(judge, JUDGE), asked, received)])
        turn = conversation.turns[place]
        found = parse_analysis(turn.text, len(texts)) if turn.error is None else None
        return "" if found is None else found.lines()


def fusion_account(transcript: Transcript) -> dict[str, Any]:
    """How a fusion's answer came about: `sources` (number in a citation -> agent), `cited` (agents that the answer
    names), the judge's name, its `analysis` and what became of it (`read`, `unreadable`, `failed`, `not asked`), the
    `synthesiser` (null: a reply of the panel stands)."""
    names = [seat.name for seat in transcript.seats]
    roles = [seat.role for seat in transcript.seats]
    panel = [turn for turn in transcript.turns if not roles[turn.seat] and turn.answer is not None]
    judged = [turn for turn in transcript.turns if roles[turn.seat] == JUDGE]
    written = [turn for turn in transcript.turns if roles[turn.seat] == SYNTHESISER and turn.answer is not None]
    sources = {str(number): names[turn.seat] for number, turn in enumerate(panel, 1)}
    analysis, state = None, "not asked"
    if judged:
        analysis = parse_analysis(judged[0].text, len(panel)) if judged[0].error is None else None
        state = "failed" if judged[0].error is not None else "unreadable" if analysis is None else "read"
    numbers = [n.strip() for mark in _CITED.findall(written[0].text) for n in mark.split(",")] if written else []
    return {
        "stopped": transcript.stopped,
        "sources": sources,
        "cited": list(dict.fromkeys(sources[str(int(n))] for n in numbers if str(int(n)) in sources)),
        "judge": transcript.seats[judged[0].seat].model if judged else None,
        "judged": state,
        "analysis": None if analysis is None else analysis.as_json(),
        "synthesiser": transcript.seats[written[0].seat].model if written else None,
    }
