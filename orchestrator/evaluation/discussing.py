"""Experts of the zoo confer: one conversation a question, thousands at once, each a plain coroutine.

The scheduler turns them into batches; first replies that two methods ask alike are generated once.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from agents import discussions
from agents.agent import Agent
from agents.answers import canonical
from agents.confidence import Calibrate, ConfidenceKind, from_tokens, uncalibrated
from agents.conversation import Discussion, DiscussionTerms, Equivalence, converse
from agents.discussions.parts import topology
from agents.prompts import PromptLimits
from agents.question import AnswerKind, Question
from agents.transcript import Transcript
from agents.votes import AT_THEIR_WORD, Odds, fit_log_odds, options_of
from agents.window import run_window
from orchestrator.config import StrictModel
from orchestrator.errors import BadInput, BudgetExceeded, SetupError, StorageError
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.extensions import load
from orchestrator.inference.expert import Expert
from orchestrator.inference.pool import Pool
from orchestrator.inference.request import Sampling
from orchestrator.old_names import renamed
from router.calibration import Calibration, calibrate
from router.embedding import Embedder, EmbedderFailed
from router.trial import FOLDS

SAMPLING_TEMPERATURE = 0.7
"""Of several samples of one expert, where the run's own temperature is 0 and they would all be the same."""
SAME_MEANING = 0.8
"""Cosine similarity from which two answers to an open question count as one."""

MAX_REMEMBERED = 10_000
"""Confidences whose probability is kept."""


class DiscussionOptions(StrictModel):
    """How experts confer, for the methods in which they do."""

    panel: list[str] = Field(default_factory=list, description="Experts that discuss (default: all that are asked).")
    lead: str | None = Field(
        default=None,
        description="Expert that answers alone, judges and aggregates (default: the best on the fit split).",
    )
    rounds: int = Field(default=2, ge=0, le=20, description="Rounds of discussion after the first replies.")
    samples: int = Field(default=5, ge=1, le=1000, description="Replies per question in self-consistency.")
    mode: Literal["improved", "paper"] = Field(
        default="improved",
        description="reconcile's vote: calibrated log-odds (improved), or the paper's table of weights (paper).",
    )
    confidence: ConfidenceKind = Field(default="stated", description="Where the weight of an expert's vote comes from.")
    topology: str = Field(
        default="ring", description="Who reads whom in sparse-debate: ring, star, all, or edges as 0>1,1>2."
    )
    threshold: float = Field(
        default=0.8,
        gt=0,
        le=1,
        description="escalate discusses where the vote's share is below this; without a profile it asks on there, too.",
    )
    talk_questions: int = Field(
        default=100,
        ge=0,
        le=10_000,
        description="Validation questions that reconcile and escalate discuss first, to learn what talking is worth "
        "(0: later replies count as if they were independent).",
    )
    max_explanation: int = Field(
        default=400, ge=20, le=10_000, description="Maximum characters of one explanation in another agent's prompt."
    )
    per_group: int = Field(
        default=3, ge=1, le=100, description="Maximum explanations per answer in another agent's prompt."
    )
    structured: bool = Field(default=False, description="Constrain replies to JSON: reasoning, answer, confidence.")
    convincing: str | None = Field(
        default=None, description="File of convincing samples for the prompts, as `collegium convincing` writes it."
    )

    @model_validator(mode="before")
    @classmethod
    def _old_names(cls, data: Any) -> Any:
        return renamed(data, "discussion", {"shown": "max_explanation"})

    @field_validator("topology")
    @classmethod
    def _known(cls, name: str) -> str:
        topology(name)
        return name

    @property
    def improved(self) -> bool:
        """True for the improved mode of the discussion's prompts and rules."""
        return self.mode == "improved"

    @property
    def limits(self) -> PromptLimits:
        """How much of a reply other agents receive."""
        return PromptLimits(explanation=self.max_explanation, per_group=self.per_group)


def agent_of(
    pool: Pool,
    expert: Expert,
    sampling: Sampling,
    static: float | None = None,
    *,
    structured: bool = False,
    streaming: bool = False,
) -> Agent:
    """An expert of the zoo as an agent. Only a full disk or a missing package ends the conversation."""
    from orchestrator.inference.chat import ExpertChat

    chat = ExpertChat(
        pool=pool,
        expert=expert,
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        stop=list(sampling.stop) or None,
        logprobs=sampling.logprobs,
        further=sampling,
        streaming=streaming,
    )
    return Agent(
        expert.name, chat, structured=structured, confidence=static, fatal=(StorageError, SetupError, BudgetExceeded)
    )


async def hold(
    pool: Pool,
    questions: Sequence[Question],
    agents: Sequence[Agent],
    discussion: Discussion,
    *,
    name: str,
    terms: DiscussionTerms,
    settings: Mapping[str, object] | None = None,
    done: Callable[[Transcript], None] = lambda _: None,
) -> list[Transcript]:
    """Discuss all questions, side by side in a window; transcripts in the order of the questions."""

    async def one(question: Question) -> Transcript:
        # The draws depend on what is asked and on the seed, not on this name: methods share their first replies.
        with pool.conversation(f"{question.id}/{name}", terms.seed):
            transcript = await converse(question, agents, discussion, name=name, terms=terms, settings=settings)
        done(transcript)
        return transcript

    return await run_window([functools.partial(one, question) for question in questions])


def confidence_of(answered: ExpertReply, kind: ConfidenceKind) -> float | None:
    """The confidence of a first reply that was had outside any discussion, of a kind that one reply can show."""
    if answered.reply.answer is None:
        return None
    if kind == "tokens" and answered.completion:
        tokens = [(token.token, token.logprob) for token in answered.completion.logprobs]
        return from_tokens(tokens, answered.completion.text)
    return answered.reply.confidence


def fitted(answered: Sequence[ExpertReply], kind: ConfidenceKind) -> Calibrate:
    """Confidence -> probability of being right, for each expert apart, from its replies to validation questions.

    Platt's curve over the logit of the confidence; where there is no confidence, or nothing but right or wrong replies,
    the share of right ones (with one right and one wrong reply added). An expert without any reply is taken to be
    right as often as all of them are. Static and consistency confidences are fitted on no single reply: they are
    taken as they are.
    """
    if kind in ("static", "consistency"):
        return lambda _, confidence: 0.5 if confidence is None else confidence
    given: dict[str, list[tuple[float | None, bool]]] = {}
    for one in answered:
        if one.reply.answer is not None:
            given.setdefault(one.expert, []).append((confidence_of(one, kind), one.right))
    overall = _rate([right for rows in given.values() for _, right in rows])
    curves: dict[str, Calibration] = {}
    rates: dict[str, float] = {}
    for expert, rows in given.items():
        rates[expert] = _rate([right for _, right in rows])
        sure = [(confidence, right) for confidence, right in rows if confidence is not None]
        if len({right for _, right in sure}) == 2:
            scores = np.array([_logit(confidence) for confidence, _ in sure], np.float32)
            outcomes = np.array([right for _, right in sure], np.float32)
            curves[expert] = calibrate(scores, outcomes)

    def probability(expert: str, confidence: float | None) -> float:
        if confidence is None or expert not in curves:
            return rates.get(expert, overall)
        return float(curves[expert](np.array([_logit(confidence)], np.float32))[0])

    return functools.lru_cache(MAX_REMEMBERED)(probability)  # stated confidences are few and asked for often


@dataclass(frozen=True)
class PanelFit:
    """What a discussion of one panel takes from the profile."""

    calibrate: Calibrate
    odds: Odds


UNFITTED = PanelFit(uncalibrated, AT_THEIR_WORD)
"""Of a panel that nothing is known of."""


def panel_key(panel: Sequence[str], kind: ConfidenceKind) -> tuple[str, tuple[str, ...], ConfidenceKind]:
    """Names the fit of a panel among a profile's."""
    return "panel", tuple(panel), kind


def fit_panel(replies: Mapping[tuple[str, str], ExpertReply], panel: Sequence[str], kind: ConfidenceKind) -> PanelFit:
    """A panel's fit on the replies of a profile. Takes about a second."""
    answered = list(replies.values())
    return PanelFit(fitted(answered, kind), fitted_odds(answered, panel, kind))


def fitted_odds(answered: Sequence[ExpertReply], panel: Sequence[str], kind: ConfidenceKind) -> Odds:
    """The odds under which the log-odds vote of these experts makes the validation questions' gold answers most
    probable (`votes.fit_log_odds`): experts of one origin err alike more than independent ones would. Each question's
    probabilities come from confidences calibrated on other questions. Probabilities are taken uncorrected where there
    are too few questions to fit on."""
    cast = held_out_votes(answered, panel, kind)
    try:
        return fit_log_odds(
            [one.answers for one in cast],
            [one.probabilities for one in cast],
            [one.gold for one in cast],
            [options_of(one.question) for one in cast],
        )
    except ValueError:
        return AT_THEIR_WORD


@dataclass(frozen=True, slots=True)
class PanelVote:
    """What a panel's experts replied to one validation question, in the panel's order; those without a reply are left
    out."""

    question: Question
    answers: list[str | None]
    probabilities: list[float]
    """Of being right, by confidences calibrated on other questions."""
    gold: str | None
    """In canonical form; None: not known."""
    part: int
    """Of the validation questions, by which their calibration is told apart."""


def held_out_votes(answered: Sequence[ExpertReply], panel: Sequence[str], kind: ConfidenceKind) -> list[PanelVote]:
    """One vote per question; none where there are fewer than two different questions."""
    questions = {one.question.id: one.question for one in answered}
    replies = {(one.question.id, one.expert): one for one in answered}
    texts = list(dict.fromkeys(question.question for question in questions.values()))
    parts = min(FOLDS, len(texts))
    if parts < 2:
        return []
    fold = {text: place % parts for place, text in enumerate(texts)}
    held_out = [fitted([one for one in answered if fold[one.question.question] != part], kind) for part in range(parts)]
    found = []
    for id, question in questions.items():
        row = [replies[id, expert] for expert in panel if (id, expert) in replies]
        part = fold[question.question]
        answer_kind: AnswerKind = "choice" if question.choices else question.kind
        gold = None if question.answer is None else canonical(question.answer, answer_kind, question.choices)
        chances = [held_out[part](one.expert, confidence_of(one, kind)) for one in row]
        found.append(PanelVote(question, [one.reply.answer for one in row], chances, gold, part))
    return found


def by_meaning(embedder: Embedder) -> Equivalence:
    """Groups answers to open questions: one that is similar enough to an earlier one joins its group."""

    def same(answers: Sequence[str]) -> list[int]:
        if not answers:
            return []
        try:
            vectors = embedder.embed(list(answers))
        except EmbedderFailed as error:
            raise SetupError(f"embedding: {error}") from error
        groups: list[int] = []
        for place, vector in enumerate(vectors):
            near = [(float(vector @ vectors[other]), -other) for other in range(place)]
            best, other = max(near, default=(0.0, 0))
            groups.append(groups[-other] if best >= SAME_MEANING else place)
        return groups

    return same


def own_discussion(path: str, folder: Path) -> Discussion:
    """A user's discussion, `module:function`; the module may lie beside the configuration. Raises `BadInput`."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    found = load(path, "discussion")
    if not callable(found):
        raise BadInput(f"discussion: {path!r} is not a function")
    discussion: Discussion = found
    return discussion


def scheme(options: DiscussionOptions, leader: Agent | None) -> discussions.SchemeOptions:
    """What of the options a discussion's scheme needs."""
    return discussions.SchemeOptions(
        rounds=options.rounds,
        samples=options.samples,
        improved=options.improved,
        topology=options.topology,
        threshold=options.threshold,
        leader=leader,
    )


def _logit(confidence: float) -> float:
    kept = min(max(confidence, 0.005), 0.995)
    return float(np.log(kept / (1 - kept)))


def _rate(rights: Sequence[bool]) -> float:
    return (sum(rights) + 1) / (len(rights) + 2)
