"""A conversation: one run of a discussion on one question, from its first reply to its transcript.

A discussion is a coroutine that is given a conversation and asks, votes and stops as it likes:

    async def two_rounds(conversation: Conversation) -> None:
        await conversation.open()                        # everybody answers alone
        await conversation.next_round(everybody, grouped)  # everybody reads everybody
        conversation.vote("majority")

What the last vote says, or what `decide` was told, is the team's answer. Nothing here is random, nothing is asked
again because its answer did not please, and a reply without an answer abstains.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from agents import confidence as confidences
from agents import votes
from agents.agent import ERROR_LIMIT, Agent, AgentReply, ask
from agents.confidence import Calibrate, ConfidenceKind, uncalibrated
from agents.prompts import ConvincingExample, Messages, PromptLimits, solve
from agents.question import Question
from agents.reply import Reply, parse_reply
from agents.trajectories import TalkRule
from agents.transcript import TEXT_LIMIT, Seat, Tally, Transcript, TranscriptMessage, Turn, Vote, settings_of
from agents.vote_rules import RULES

Discussion = Callable[["Conversation"], Awaitable[None]]
AskingRule = Callable[[int, votes.Verdict, float], str | None]
"""(replies so far, their log-odds vote, ways to answer the question) -> why nobody else is asked; None: the next one
is."""
Equivalence = Callable[[Sequence[str]], Sequence[int]]
"""Answers to an open question -> a group number for each; may be slow, is called on a thread."""


@dataclass(frozen=True)
class DiscussionTerms:
    """On what terms agents confer: everything that is not the discussion's own scheme."""

    kind: ConfidenceKind = "stated"
    calibrate: Calibrate = uncalibrated
    show_calibrated: bool = False
    """Whether later rounds show calibrated probabilities in place of stated confidences."""
    odds: votes.Odds = votes.AT_THEIR_WORD
    """Of the log-odds vote."""
    talk: TalkRule | None = None
    """What talking is worth to these agents; None: not known."""
    asking: AskingRule | None = None
    """When a further agent is asked for a first reply, where a discussion asks one after the other; None: not known."""
    same: Equivalence | None = None
    """Groups answers to open questions; None: by their canonical spelling."""
    samples: Mapping[str, Sequence[ConvincingExample]] = field(default_factory=dict)
    """Agent -> what convinced it. An agent is shown what convinced the others."""
    consistency_samples: int = 5
    """Replies that each agent gives at once, where the kind is consistency."""
    limits: PromptLimits = field(default_factory=PromptLimits)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class AgentCall:
    """One prompt to one seat, with the places of the turns that it shows."""

    seat: int
    messages: Messages
    received: tuple[int, ...] = ()


class Conversation:
    """See the module. `agents` are the panel; a discussion may seat more (samples, a judge)."""

    def __init__(self, question: Question, agents: Sequence[Agent], terms: DiscussionTerms) -> None:
        """Raises ValueError for a panel of none and for two agents of one name."""
        if not agents:
            raise ValueError(f"question {question.id!r}: a panel needs at least one agent")
        self.question = question
        self.terms = terms
        self.turns: list[Turn] = []
        self.votes: list[Vote] = []
        self.stopped = ""
        self._agents: list[Agent] = []
        self._seats: list[Seat] = []
        self._prompts: dict[tuple[TranscriptMessage, ...], int] = {}
        self._decided: int | None = None
        self._lost: dict[str, str] = {}
        """Model -> why it failed: it is not asked again in this conversation."""
        self._same: dict[str, str] = {}
        for agent in agents:
            if any(seat.name == agent.name for seat in self._seats):
                raise ValueError(f"two agents are named {agent.name!r}: give the second seat a name of its own")
            self.seat(agent)

    @property
    def odds(self) -> votes.Odds:
        """Of the log-odds vote."""
        return self.terms.odds

    @property
    def talk(self) -> TalkRule | None:
        """What talking is worth to these agents; None: not known."""
        return self.terms.talk

    @property
    def panel(self) -> list[int]:
        """Seats whose replies count in votes."""
        return [place for place, seat in enumerate(self._seats) if not seat.role]

    @property
    def round(self) -> int:
        """The last round; -1 before the first."""
        return max((turn.round for turn in self.turns), default=-1)

    @property
    def is_open(self) -> bool:
        """Whether the question is of no kind, so that answers are compared by their meaning."""
        return self.question.kind == "open" and not self.question.choices

    @property
    def scattered(self) -> bool:
        """Whether several answered, and no two alike."""
        answers = [answer for place in self.standing() if (answer := self.answer_of(place)) is not None]
        return len(answers) > 1 and len(set(answers)) == len(answers)

    def agent(self, seat: int) -> Agent:
        """The agent in a seat."""
        return self._agents[seat]

    def seat(self, agent: Agent, role: str = "") -> int:
        """Seat an agent, again perhaps; its name gets a number where it is taken. Its place."""
        taken = {seat.name for seat in self._seats}
        names = (agent.name, *(f"{agent.name} {number}" for number in range(2, len(taken) + 3)))
        name = next(name for name in names if name not in taken)
        self._agents.append(agent)
        self._seats.append(Seat(name=name, model=agent.model or agent.name, role=role))
        return len(self._seats) - 1

    def samples(self, seat: int) -> list[ConvincingExample]:
        """What convinced the others on questions of this task, one of each in turn, within the limits."""
        own, task = self._agents[seat].name, self.question.task
        others = [found for name, found in self.terms.samples.items() if name != own]
        fitting = [[sample for sample in found if sample.task in ("", task)] for found in others]
        rows = [sample for row in zip_longest(*fitting) for sample in row if sample is not None]
        return rows[: self.terms.limits.samples]

    async def open(self, seats: Sequence[int] | None = None) -> list[int]:
        """Round 0: each seat answers alone. Places of the new turns."""
        asked = self.panel if seats is None else seats
        return await self.ask([AgentCall(seat, solve(self.question, self.samples(seat))) for seat in asked], round=0)

    def stand_in(self, agent: Agent) -> Agent:
        """The agent, or where its model has failed in this conversation the first of the panel whose has not."""
        others = (self._agents[seat] for seat in self.panel)
        return next((one for one in (agent, *others) if _model(one) not in self._lost), agent)

    async def ask(self, asks: Sequence[AgentCall], round: int | None = None) -> list[int]:
        """Put prompts to seats, all at once, as one round (None: the next one). Places of the new turns."""
        number = self.round + 1 if round is None else round
        turns = await asyncio.gather(*(self._turn(one, number) for one in asks))
        first = len(self.turns)
        self.turns += turns
        if self.terms.same and self.is_open:
            await self._group_open()
        return list(range(first, len(self.turns)))

    def standing(self) -> list[int]:
        """The turn that counts for each seat of the panel that has spoken: its newest one that did not fail, else
        its newest. So an agent that is lost later keeps what it said in this conversation, and never more."""
        newest: dict[int, int] = {}
        for place, turn in enumerate(self.turns):
            if turn.error is None or turn.seat not in newest:
                newest[turn.seat] = place
        return [newest[seat] for seat in self.panel if seat in newest]

    def first_and_last(self) -> list[int]:
        """The first turn of each seat of the panel that has one, then the turn that counts for it now."""
        first = {turn.seat: place for place, turn in reversed(list(enumerate(self.turns)))}
        standing = self.standing()
        return [*(first[self.turns[place].seat] for place in standing), *standing]

    def answer_of(self, place: int) -> str | None:
        """A turn's answer; to an open question: the answer that stands for its group."""
        answer = self.turns[place].answer
        return None if answer is None else self._same.get(answer, answer)

    def probability(self, place: int) -> float:
        """How likely a turn's answer is right, by the terms' calibration."""
        turn = self.turns[place]
        return self.terms.calibrate(self._seats[turn.seat].model, turn.confidence)

    def displayed_confidence(self, place: int) -> float | None:
        """The confidence that others get to read."""
        return self.probability(place) if self.terms.show_calibrated else self.turns[place].stated

    def vote(self, rule: str, places: Sequence[int] | None = None) -> Vote:
        """Count the standing replies (or those at `places`) by one rule of `RULES`, and note it."""
        counted = self.standing() if places is None else list(places)
        verdict = RULES[rule](self, counted)
        vote = Vote(
            round=max(self.round, 0),
            rule=rule,
            answer=verdict.answer,
            share=min(1.0, max(0.0, verdict.share)),
            tallies=tuple(
                Tally(
                    answer=group.answer,
                    turns=tuple(counted[voter] for voter in group.voters),
                    agents=tuple(self._seats[self.turns[counted[voter]].seat].name for voter in group.voters),
                    weight=group.weight,
                    confidence=group.confidence,
                )
                for group in verdict.groups
            ),
            abstentions=tuple(counted[place] for place in verdict.abstentions),
            decided_by=verdict.decided_by,
        )
        self.votes.append(vote)
        self._decided = None
        return vote

    def decide(self, place: int) -> None:
        """The turn at `place` (a judge's, an aggregator's) is the team's answer, unless it abstains."""
        if self.turns[place].answer is not None:
            self._decided = place

    def transcript(self, discussion: str, settings: Mapping[str, object] | None = None) -> Transcript:
        """The record of all this. Without any vote the standing replies' majority is the answer."""
        if self._decided is None and not self.votes:
            self.vote("majority")
        answer, reply, share = self._team()
        return Transcript(
            question=self.question,
            discussion=discussion,
            settings=settings_of({"confidence": self.terms.kind, **(settings or {})}),
            seed=self.terms.seed,
            seats=tuple(self._seats),
            prompts=tuple(self._prompts),
            turns=tuple(self.turns),
            votes=tuple(self.votes),
            answer=answer,
            reply=reply,
            confidence=share,
            stopped=self.stopped,
        )

    def _team(self) -> tuple[str | None, str, float | None]:
        """(answer, reply, confidence) of the team."""
        if self._decided is not None:
            turn = self.turns[self._decided]
            return turn.answer, turn.text, turn.confidence
        # A last round in which everybody abstains does not take back what was found before.
        vote = next((vote for vote in reversed(self.votes) if vote.answer is not None), None)
        if vote is None:
            return None, "", None
        best = max(vote.tallies[0].turns, key=lambda place: (self.turns[place].confidence or 0.0, -place))
        turn = self.turns[best]
        if self.question.is_chat:
            return turn.answer, turn.text, vote.share
        own = turn.answer if turn.answer is not None else vote.answer
        written = turn.displayed or next((one.displayed for one in self.turns if one.answer == own), own)
        return own, f"{turn.reasoning}\nAnswer: {written}".lstrip(), vote.share

    async def _turn(self, one: AgentCall, number: int) -> Turn:
        agent = self._agents[one.seat]
        if (why := self._lost.get(_model(agent))) is not None:
            return self._missing(one, number, why)
        many = self.terms.consistency_samples if self.terms.kind == "consistency" else 1
        if many == 1:
            agent_replies = [await ask(agent, one.messages)]
        else:
            agent_replies = list(await asyncio.gather(*(ask(agent, one.messages) for _ in range(many))))
        replies = [
            parse_reply(each.text, self.question, each.thoughts, cut=each.cut) if each.error is None else NOTHING
            for each in agent_replies
        ]
        chosen, share = (replies[0].answer, None)
        if many > 1:
            chosen, share = confidences.consistency([reply.answer for reply in replies])
        place = next((place for place, reply in enumerate(replies) if reply.answer == chosen), 0)
        # What counts is a reply, if there was any among the samples.
        if agent_replies[place].error is not None:
            place = next((place for place, each in enumerate(agent_replies) if each.error is None), place)
        if (error := agent_replies[place].error) is not None and not agent.excused:
            self._lost.setdefault(_model(agent), error)
        return _turn_of(
            one,
            number,
            self._prompt(one.messages),
            agent_replies,
            place,
            replies[place],
            self._sure(agent, agent_replies[place], replies[place], share),
        )

    def _missing(self, one: AgentCall, number: int, why: str) -> Turn:
        """The turn of an agent that is not asked again."""
        missing = AgentReply(error=why if why.startswith(NOT_ASKED) else f"{NOT_ASKED}: {why}"[:ERROR_LIMIT])
        return _turn_of(one, number, self._prompt(one.messages), [missing], 0, NOTHING, None)

    def _sure(self, agent: Agent, one: AgentReply, reply: Reply, share: float | None) -> float | None:
        if reply.answer is None:
            return None
        if self.terms.kind == "tokens":
            return confidences.from_tokens(one.logprobs, one.text)
        if self.terms.kind == "static":
            return agent.confidence
        return share if self.terms.kind == "consistency" else reply.confidence

    def _prompt(self, messages: Messages) -> int:
        frozen = tuple(TranscriptMessage(role=one["role"], content=_clean(one["content"])) for one in messages)
        return self._prompts.setdefault(frozen, len(self._prompts))

    async def _group_open(self) -> None:
        """Map each open answer to the first answer of its group."""
        answers = list(dict.fromkeys(turn.answer for turn in self.turns if turn.answer is not None))
        assert self.terms.same is not None
        groups = await asyncio.to_thread(self.terms.same, answers)
        first: dict[int, str] = {}
        self._same = {answer: first.setdefault(group, answer) for answer, group in zip(answers, groups, strict=True)}


NOTHING = Reply("", "", None, None)
NOT_ASKED = "not asked again after a failure"


def _model(agent: Agent) -> str:
    return agent.model or agent.name


def _turn_of(
    one: AgentCall,
    number: int,
    prompt: int,
    agent_replies: Sequence[AgentReply],
    place: int,
    reply: Reply,
    confidence: float | None,
) -> Turn:
    kept = agent_replies[place]
    return Turn(
        round=number,
        seat=one.seat,
        prompt=prompt,
        received=one.received,
        text=_clean(kept.text[:TEXT_LIMIT]),
        characters=len(kept.text),
        reasoning=_clean(reply.reasoning[:TEXT_LIMIT]),
        answer=None if reply.answer is None else _clean(reply.answer),
        written=_clean((reply.written or "")[:TEXT_LIMIT]),
        stated=reply.confidence,
        confidence=confidence,
        calls=len(agent_replies),
        prompt_tokens=sum(each.prompt_tokens for each in agent_replies),
        completion_tokens=sum(each.completion_tokens for each in agent_replies),
        seconds=sum(each.seconds for each in agent_replies),
        cost=sum(each.cost for each in agent_replies),
        cached=all(each.cached for each in agent_replies),
        key=kept.key,
        error=kept.error,
    )


def _clean(text: str) -> str:
    """Text that can be written as UTF-8: half a surrogate pair, as a cut reply may end in, becomes a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


async def converse(
    question: Question,
    agents: Sequence[Agent],
    discussion: Discussion,
    *,
    name: str,
    terms: DiscussionTerms | None = None,
    settings: Mapping[str, object] | None = None,
) -> Transcript:
    """Let agents confer on one question. Raises what an agent calls fatal, and ValueError for a bad panel."""
    conversation = Conversation(question, agents, terms or DiscussionTerms())
    await discussion(conversation)
    return conversation.transcript(name, settings)
