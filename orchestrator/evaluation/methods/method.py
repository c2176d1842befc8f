"""What a method is: a small function from a `Setting` to one answer a question, for one or more names.

Whatever two methods ask alike (same expert, question, sampling) is generated once: the ledger joins them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field, field_validator, model_validator

from agents.question import Question
from agents.transcript import Transcript
from orchestrator.evaluation.answering import ExpertReply, answer_pairs
from orchestrator.evaluation.context import Context
from orchestrator.evaluation.costs import CostOptions
from orchestrator.evaluation.discussing import DiscussionOptions
from orchestrator.evaluation.methods.aggregators import AGGREGATORS
from orchestrator.evaluation.outcomes import OutcomeKind, declines
from orchestrator.evaluation.profile import Profiled, Replies
from orchestrator.evaluation.report.data import RankedExpert
from orchestrator.fusion_config import Preset
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Sampling
from router.routers import DEFAULT, ROUTERS, check, needs_skills
from router.table import Table


class MethodOptions(DiscussionOptions, CostOptions):
    """What methods may be told; each takes what concerns it."""

    preset: Preset | None = Field(
        default=None, description="Preset of fusion: budget or quality (default: the fusion's own)."
    )
    recruit: int | None = Field(
        default=None, ge=1, description="Experts per question (default: 1 for mixture, 3 for symbolic-moe)."
    )
    calls: float | None = Field(
        default=None,
        ge=1,
        le=64,
        allow_inf_nan=False,
        description="Mean experts per question, asked by need: of mixture, in place of recruit, and of escalate "
        "(default there: 3).",
    )
    router: str = Field(default=DEFAULT, description=f"Router of mixture: {', '.join(ROUTERS)}.")
    keyword_expert: str | None = Field(
        default=None, description="Expert that names skills for symbolic-moe (default: chosen on the fit split)."
    )
    keyword_runs: int = Field(
        default=1, ge=1, le=64, description="Replies that name one question's skills for symbolic-moe (the paper: 5)."
    )
    aggregator: str = Field(
        default="log-odds",
        description=f"Aggregator of symbolic-moe: {', '.join(AGGREGATORS)} (an expert chosen for each task writes the "
        "answer), the expert that writes the answer, or your own.",
    )

    @model_validator(mode="after")
    def _one_number(self) -> MethodOptions:
        if self.recruit is not None and self.calls is not None:
            raise ValueError("calls: give either calls (by need) or recruit (always so many), not both")
        return self

    @field_validator("router")
    @classmethod
    def _known_router(cls, name: str) -> str:
        if needs_skills(name):
            raise ValueError(f"no router {name!r} for questions without tags; {', '.join(ROUTERS)}")
        check(name)
        return name

    @property
    def discussing(self) -> DiscussionOptions:
        """The part that discussions take."""
        return DiscussionOptions(**self.model_dump(include=set(DiscussionOptions.model_fields)))

    @property
    def cost(self) -> CostOptions:
        """The part that weighs quality against cost."""
        return CostOptions(**self.model_dump(include=set(CostOptions.model_fields)))


@dataclass(frozen=True)
class Setting:
    """What a method may use. `profile` is of the validation split: nothing is fitted on what is reported."""

    context: Context
    questions: Sequence[Question]
    sampling: Sampling
    seed: int
    options: MethodOptions = field(default_factory=MethodOptions)
    profile: Profiled | None = None
    preferred: tuple[str, ...] = ()
    """Experts in the order in which they suit what is asked, where a router has ranked them."""
    stream: bool = False
    """Whoever writes the answer streams it."""
    tools: frozenset[str] = frozenset()
    """Names of the tools that the panel may call."""
    structured: str | None = None
    """As `Sampling.structured`: what the written answer is held to."""
    fitting: Sampling | None = None
    """Of a chat: what its profile was asked with. None: `sampling`."""

    async def ask(self, pairs: Sequence[tuple[Question, Expert]]) -> Replies:
        """Replies to these (question, expert) pairs, by (question id, expert name)."""
        return await answer_pairs(self.context.pool, pairs, self.sampling, self.seed, self.context.done)

    @property
    def experts(self) -> Mapping[str, Expert]:
        """The experts that may be asked."""
        return self.context.experts

    @property
    def fitted_on(self) -> Table:
        """The correctness table. Raises ValueError where there is none."""
        if self.profile is None:
            raise ValueError("this method needs a profile")
        return self.profile.table

    @property
    def validation(self) -> Replies:
        """What experts said to the questions of the profile."""
        return self.profile.replies if self.profile else {}


@dataclass(frozen=True)
class Answer:
    """A method's answer to one question, with every reply that it took."""

    question: Question
    answer: str | None
    right: bool
    used: tuple[ExpertReply, ...]
    """Replies to the question itself."""
    ranking: tuple[RankedExpert, ...] = ()
    confidence: float | None = None
    beside: tuple[ExpertReply, ...] = ()
    """Further replies that it took (keywords, aggregation): they cost, too."""
    unscored: str | None = None
    """Why a scorer of one's own could not say whether the answer is right."""

    @property
    def failed(self) -> bool:
        """There is neither a right nor a wrong answer: no expert replied, or the scorer failed."""
        asked = any(one.unscored is not None and one.reply.answer == self.answer for one in self.used)
        return self.silent or self.unscored is not None or (asked and not self.right)

    @property
    def displayed(self) -> str | None:
        """The answer as the first reply that gave it writes it; None where there is none."""
        written = (one.reply.displayed for one in (*self.used, *self.beside) if one.reply.answer == self.answer)
        return None if self.answer is None else next(written, self.answer)

    @property
    def silent(self) -> bool:
        """No expert replied."""
        asked = self.used or self.beside
        return self.answer is None and bool(asked) and all(one.error is not None for one in asked)

    @property
    def outcome(self) -> OutcomeKind:
        """What became of the question."""
        if self.failed:
            return "failed"
        if self.right or self.answer is not None:
            return "right" if self.right else "wrong"
        replied = [one for one in (*self.used, *self.beside) if one.error is None]
        return "abstained" if all(declines(one.reply.text) for one in replied) else "unreadable"


Role = Literal["method", "expert", "bound", "point"]
"""What an outcome is in a comparison: a method; one expert alone; a bound that no method can pass; a point of a cost
curve."""


@dataclass(frozen=True)
class MethodOutcome:
    """What one method yields: one answer per question, in order, and a line for the reader."""

    name: str
    answers: tuple[Answer, ...]
    note: str = ""
    transcripts: tuple[Transcript, ...] = ()
    """Of a method in which experts confer: one per question, in the order of the answers."""
    role: Role = "method"
    equals: str = ""
    """Of a point: the method at whose cost it stands, if at any's."""


@dataclass(frozen=True)
class Method:
    """A way to answer, with what a caller may know of it."""

    name: str
    run: Callable[[Setting], Awaitable[list[MethodOutcome]]]
    profile: Literal["unused", "optional", "required"]
    """Whether it is fitted on a profile; an optional one is used where there is one."""
    answers_once: bool = True
    """It gives one answer per question, so that it can be a model of the service."""
    confers: bool = False
    """Experts read each other's replies."""
    baseline: bool = False
    """A discussion is compared with it."""
    sampled: bool = False
    """It asks one expert several times, so that its cost can be set to any other method's."""
    headline: int | None = None
    """Rank among the methods whose comparison makes the report's headline; None: behind all of them."""
    reference: bool = False
    """One expert's single reply: every other method is compared with it."""
    panel_vote: bool = False
    """It votes on a panel's first replies: what a panel's talk must beat."""
    takes_tools: bool = False
    """Its panel may call a chat's tools."""
    writes: bool = False
    """One expert writes its answer to an open question: it can be streamed and held to a schema."""
    recruits: bool = False
    """It asks as many experts as `recruit` says."""
    asks_by_need: bool = False
    """It asks one expert after the other, about as many per question as `calls` says."""
    prepare: Callable[[Setting], Awaitable[object]] | None = None
    """Fits on the profile what the method keeps, by asking experts; a service does that outside its chats."""
    panel: bool = True
    """Several experts reply; False: rounds of one expert with itself have no panel's vote to beat."""

    @property
    def fitted(self) -> bool:
        """Whether a run makes a profile for it."""
        return self.profile != "unused"


def alone(*asked: ExpertReply) -> Answer:
    """The answer of a method that takes one expert's reply; the last one's, where others failed before."""
    *_, answered = asked
    reply = answered.reply
    return Answer(answered.question, reply.answer, answered.right, asked, (), reply.confidence)
