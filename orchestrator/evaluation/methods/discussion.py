"""Methods in which experts confer: one for every discussion that `agents.discussions` knows, and for a user's own."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from agents.agent import Agent
from agents.confidence import ConfidenceKind
from agents.conversation import Discussion, DiscussionTerms
from agents.discussions import DISCUSSIONS, build
from agents.discussions.rounds import Rounds
from agents.question import Question
from agents.reply import Reply
from agents.trajectories import TalkRule
from agents.transcript import Transcript, Turn
from orchestrator.errors import BadInput
from orchestrator.evaluation.answering import ExpertReply, judge
from orchestrator.evaluation.convincing import read_samples
from orchestrator.evaluation.discussing import (
    SAMPLING_TEMPERATURE,
    UNFITTED,
    PanelFit,
    agent_of,
    by_meaning,
    fit_panel,
    hold,
    panel_key,
    scheme,
)
from orchestrator.evaluation.methods.fallback import MAX_FALLBACKS
from orchestrator.evaluation.methods.method import Answer, Method, MethodOutcome, Setting
from orchestrator.evaluation.methods.talk import talk_rule
from orchestrator.evaluation.panel_need import CALLS, PanelNeed, fit_panel_need
from orchestrator.evaluation.profile import Profiled
from orchestrator.inference.request import Completion, UpstreamUsage

SAME_MODEL = "reconcile-same-model"
"""ReConcile with the lead expert in as many seats as the panel has: what different models are worth."""
STOPS = {"rounds": "their number"}


@dataclass(frozen=True)
class Seating:
    """Who sits on a discussion's panel, and how they are asked. By default: the panel, as the run asks everybody."""

    alone: bool = False
    """Only the lead expert, which talks to nobody but itself."""
    copies: bool = False
    """The lead expert in every seat."""
    one_by_one: bool = False
    """First replies are given one after the other: by the lead expert, then by the best on the fit split."""
    sampled: bool = False
    """One expert replies several times, so that its replies are drawn, at a temperature above 0."""


def discussion_methods() -> tuple[Method, ...]:
    """One method for every discussion of `agents.discussions`, and `reconcile-same-model`."""
    votes = partial(_known, confers=False, baseline=True, panel_vote=True)
    traits: Mapping[str, Callable[[str], Method]] = {
        "single": partial(_known, seating=Seating(alone=True), confers=False, reference=True),
        "self-consistency": partial(_known, seating=Seating(alone=True, sampled=True), confers=False, sampled=True),
        "self-refine": partial(_known, seating=Seating(alone=True), confers=False, baseline=True),
        "vote": partial(votes, profile="unused", headline=4),
        "weighted-vote": partial(votes, headline=3),
        "reconcile": partial(_known, headline=2),
        "escalate": partial(_known, seating=Seating(one_by_one=True), asks_by_need=True),
    }
    same = votes(SAME_MODEL, Seating(copies=True, sampled=True), discussion="reconcile")
    known = [name for name in DISCUSSIONS if name != "fusion"]  # which has a module of its own
    return (*(traits.get(name, _known)(name) for name in known), same)


def own_method(name: str, discussion: Discussion) -> Method:
    """A method that is a user's own discussion."""
    return Method(name, _run(name, Seating(), lambda setting, lead: discussion), "optional", confers=True)


def _known(
    name: str,
    seating: Seating = Seating(),
    *,
    discussion: str = "",
    confers: bool = True,
    profile: Literal["unused", "optional"] = "optional",
    **traits: Any,
) -> Method:
    def made(setting: Setting, lead: Agent) -> Discussion:
        return build(discussion or name, scheme(setting.options, lead))

    return Method(name, _run(name, seating, made), profile, confers=confers, panel=not seating.alone, **traits)


def _run(
    name: str, seating: Seating, made: Callable[[Setting, Agent], Discussion]
) -> Callable[[Setting], Awaitable[list[MethodOutcome]]]:
    async def run(setting: Setting) -> list[MethodOutcome]:
        outcome = await confer(setting, name, seating, made)
        if seating.alone or seating.copies:
            outcome = await _led_by_others(setting, name, seating, made, outcome)
        return [outcome]

    return run


async def _led_by_others(
    setting: Setting,
    name: str,
    seating: Seating,
    made: Callable[[Setting, Agent], Discussion],
    outcome: MethodOutcome,
) -> MethodOutcome:
    """The outcome where, on questions on which the lead expert gave no reply, the next best expert leads instead."""
    rates = {expert: rate(setting, expert) for expert in setting.experts} if setting.profile else {}
    members = sorted(setting.options.panel or setting.experts, key=lambda expert: -rates.get(expert, 0.0))
    answers, transcripts = list(outcome.answers), list(outcome.transcripts)
    first = setting.options.lead or members[0]
    moved: set[int] = set()
    for lead in [expert for expert in members if expert != first][:MAX_FALLBACKS]:
        failed = [place for place, answer in enumerate(answers) if answer.silent]
        if not failed:
            break
        options = setting.options.model_copy(update={"lead": lead})
        again = dataclasses.replace(setting, options=options, questions=[setting.questions[one] for one in failed])
        instead = await confer(again, name, seating, made)
        for place, answer, transcript in zip(failed, instead.answers, instead.transcripts, strict=True):
            if not answer.silent:
                moved.add(place)
            answers[place] = dataclasses.replace(answer, used=(*answers[place].used, *answer.used))
            transcripts[place] = transcript
    if not moved:
        return outcome
    note = f"{outcome.note}; {len(moved)} questions were led by another expert after a failure"
    return dataclasses.replace(outcome, answers=tuple(answers), transcripts=tuple(transcripts), note=note)


async def confer(
    setting: Setting,
    name: str,
    seating: Seating,
    made: Callable[[Setting, Agent], Discussion],
    *,
    groups: bool = True,
) -> MethodOutcome:
    """Hold one discussion on all questions of the setting; `groups`: answers to open ones of one meaning count as one.
    Raises `BadInput` for a panel that names an expert twice,
    or one that is not asked."""
    options = setting.options.discussing
    for expert in [*options.panel, *([options.lead] if options.lead else [])]:
        if expert not in setting.experts:
            raise BadInput(f"panel: no expert {expert!r} among those asked: {', '.join(setting.experts)}")
    members = options.panel or [*setting.experts]
    if twice := next((expert for expert in members if members.count(expert) > 1), None):
        raise BadInput(f"panel: {twice!r} is named twice; for one expert in every seat there is {SAME_MODEL}")
    static = {expert: rate(setting, expert) for expert in setting.experts} if setting.profile else {}
    lead = options.lead or max(members, key=lambda expert: static.get(expert, 0.0))
    panel = [lead] if seating.alone else members
    if seating.one_by_one:
        panel = sorted(panel, key=lambda expert: (expert != lead, -static.get(expert, 0.0)))
    sampling = setting.sampling
    if (seating.sampled or options.confidence == "consistency") and sampling.temperature == 0:
        sampling = dataclasses.replace(sampling, temperature=SAMPLING_TEMPERATURE)
    agents = {
        expert: agent_of(
            setting.context.pool, setting.experts[expert], sampling, static.get(expert), structured=options.structured
        )
        for expert in {lead, *panel}
    }
    team = [agents[expert] for expert in panel]
    if seating.copies:
        more = [
            dataclasses.replace(agents[lead], name=f"{lead} {seat}", model=lead) for seat in range(2, len(panel) + 1)
        ]
        team = [agents[lead], *more]
    profile = setting.profile if options.improved else None
    fit = await panel_fit(profile, panel, options.confidence) if profile is not None else UNFITTED
    need = await _panel_need(profile, panel, setting) if profile is not None and seating.one_by_one else None
    terms = DiscussionTerms(
        kind=options.confidence,
        calibrate=fit.calibrate,
        show_calibrated=profile is not None,
        odds=need.odds if need else fit.odds,
        asking=need.asking(setting.options.calls or CALLS) if need else None,
        same=by_meaning(setting.context.embedder) if groups else None,
        samples=read_samples(options.convincing, panel) if options.convincing else {},
        limits=options.limits,
        seed=setting.seed,
    )
    discussion = made(setting, agents[lead])
    rounds = getattr(discussion, "discussion", discussion)  # escalate's, which it comes to last
    if profile is not None and isinstance(rounds, Rounds) and rounds.weighed:
        talkers = team if seating.copies else [agents[expert] for expert in members]
        terms = dataclasses.replace(terms, talk=await _talk(setting, talkers, members, rounds, terms))
    kept = options.model_dump(exclude={"panel"}) | {"lead": lead, **_talk_settings(terms.talk)}
    held = await hold(
        setting.context.pool,
        setting.questions,
        team,
        discussion,
        name=name,
        terms=terms,
        settings=kept,
        done=lambda _: setting.context.done(),
    )
    plain = sampling == setting.sampling and not options.structured
    answers = tuple(_answer(question, one, plain) for question, one in zip(setting.questions, held, strict=True))
    note = "; ".join([_note(panel, held), *_talk_notes(terms.talk), *_notes(setting, seating, panel)])
    return MethodOutcome(name, answers, note, tuple(held))


async def _talk(
    setting: Setting, talkers: Sequence[Agent], members: Sequence[str], rounds: Rounds, terms: DiscussionTerms
) -> TalkRule | None:
    """What talking is worth to these agents (`talk.talk_rule`)."""

    async def discuss(questions: Sequence[Question]) -> list[Transcript]:
        return await hold(
            setting.context.pool,
            questions,
            talkers,
            rounds,
            name="talk",
            terms=terms,
            done=lambda _: setting.context.done(),
        )

    return await talk_rule(setting, [agent.model or agent.name for agent in talkers], members, discuss)


def _talk_settings(talk: TalkRule | None) -> dict[str, object]:
    """What of the rule a transcript keeps."""
    if talk is None:
        return {}
    return {
        "talk_below": talk.below,
        "talk_fitted": talk.fitted,
        "talk_gain": talk.gain,
        "talk_moves": talk.moves._asdict(),
    }


def _talk_notes(talk: TalkRule | None) -> list[str]:
    if talk is None or not talk.fitted:
        return []
    worth = f"+{100 * talk.gain:.1f} points on {talk.fitted} validation questions"
    if not talk.below:
        return [f"talk was worth nothing on {talk.fitted} validation questions"]
    limit = "all are discussed" if talk.below > 1 else f"discussed below a share of {talk.below:.2f}"
    return [f"{limit}, which was worth {worth}"]


async def panel_fit(profile: Profiled, panel: Sequence[str], kind: ConfidenceKind) -> PanelFit:
    """What a discussion of this panel takes from the profile: fitted once, on a thread."""
    return await profile.fits.of(panel_key(panel, kind), lambda: fit_panel(profile.replies, panel, kind))


async def _panel_need(profile: Profiled, panel: Sequence[str], setting: Setting) -> PanelNeed | None:
    """When this panel is asked on, where experts are asked one after the other: fitted once, on a thread."""
    kind = setting.options.confidence
    answered = list(profile.replies.values())
    key = ("need", *panel_key(panel, kind), setting.seed)
    return await profile.fits.of(key, lambda: fit_panel_need(answered, panel, kind, setting.seed))


def _notes(setting: Setting, seating: Seating, panel: Sequence[str]) -> list[str]:
    """What a reader should know of a panel that has little to confer about."""
    if seating.alone or seating.copies:
        return []
    notes = ["a panel of one confers with nobody"] if len(panel) == 1 else []
    seats: dict[str, list[str]] = {}
    for expert in panel:
        seats.setdefault(setting.experts[expert].fingerprint, []).append(expert)
    same = [names for names in seats.values() if len(names) > 1]
    return notes + [f"{' and '.join(names)} are the same model and give the same replies" for names in same]


def rate(setting: Setting, expert: str) -> float:
    """Share of its answers to the fit split that the expert has right; 0 where it gave none."""
    rows = setting.fitted_on.rows
    known = [row.correct[expert] for row in rows if expert in row.correct]
    return sum(known) / len(known) if known else 0.0


def _answer(question: Question, transcript: Transcript, plain: bool) -> Answer:
    """`plain`: first replies are what the run asks of every expert, and count among them."""
    turns = [(turn, _answered(question, transcript, turn)) for turn in transcript.turns]
    first = tuple(one for turn, one in turns if plain and turn.round == 0 and turn.calls == 1)
    rest = tuple(one for turn, one in turns if not (plain and turn.round == 0 and turn.calls == 1))
    right, unscored = judge(question, transcript.answer)
    sure = transcript.confidence
    return Answer(question, transcript.answer, right, first, confidence=sure, beside=rest, unscored=unscored)


def _answered(question: Question, transcript: Transcript, turn: Turn) -> ExpertReply:
    expert = transcript.seats[turn.seat].model
    reply = Reply(turn.text, turn.reasoning, turn.answer, turn.stated, turn.displayed)
    if turn.error is not None:
        return ExpertReply(question, expert, reply, False, None, turn.error)
    tokens = (turn.prompt_tokens, turn.completion_tokens)
    usage = UpstreamUsage(cost=turn.cost) if turn.cost else None
    completion = Completion(turn.key or "", turn.text, "stop", *tokens, (), turn.seconds, turn.cached, usage=usage)
    right, unscored = judge(question, turn.answer)
    return ExpertReply(question, expert, reply, right, completion, unscored=unscored)


def _note(panel: Sequence[str], held: Sequence[Transcript]) -> str:
    rounds = sum(one.rounds for one in held) / len(held)
    parts = [panel[0] if len(panel) == 1 else f"{len(panel)} experts"]
    if rounds > 1:
        stops = Counter(STOPS.get(one.stopped, one.stopped) for one in held if one.stopped)
        parts.append(f"{rounds:.1f} rounds")
        parts += [f"{count / len(held):.0%} ended by {name}" for name, count in stops.most_common(3)]
    abstained, failed = sum(one.abstentions for one in held), sum(one.failures for one in held)
    parts += [f"{abstained} abstentions"] * bool(abstained) + [f"{failed} failures"] * bool(failed)
    return ", ".join(parts)
