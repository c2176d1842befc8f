"""What a method is: a small function from a `Setting` to one answer a question, for one or more names.

Whatever two methods ask alike (same expert, question, sampling) is generated once: the ledger joins them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agents.question import Question
from agents.transcript import Transcript
from orchestrator.evaluation.answering import Answered, answer_pairs
from orchestrator.evaluation.costs import CostOptions
from orchestrator.evaluation.discussing import DiscussionOptions
from orchestrator.evaluation.profile import Replies
from orchestrator.evaluation.report.data import RankedExpert
from orchestrator.inference.expert import Expert
from orchestrator.inference.pool import Pool
from orchestrator.inference.request import Sampling
from router.embedding import Embedder
from router.routers import DEFAULT
from router.table import Table

AGGREGATORS = ("log-odds", "majority", "benchmark")
"""Of symbolic-moe; `benchmark` chooses an expert to write the answer, and an expert's name is one, too."""


@dataclass(frozen=True)
class Setting:
    """What a method may use. `profile` is the validation split's correctness table: nothing is fitted on what is
    reported."""

    pool: Pool
    experts: Mapping[str, Expert]
    questions: Sequence[Question]
    profile: Table | None
    embedder: Embedder
    sampling: Sampling
    seed: int
    recruit: int | None
    """Experts that a recruiting method asks a question; None: as many as suit the method."""
    done: Callable[[], None]
    validation: Replies = field(default_factory=dict)
    """What experts said to the questions of `profile`."""
    router: str = DEFAULT
    keyword_expert: str | None = None
    aggregator: str = AGGREGATORS[0]
    discussing: DiscussionOptions = field(default_factory=DiscussionOptions)
    cost: CostOptions = field(default_factory=CostOptions)

    async def ask(self, pairs: Sequence[tuple[Question, Expert]]) -> Replies:
        return await answer_pairs(self.pool, pairs, self.sampling, self.seed, self.done)

    @property
    def fitted_on(self) -> Table:
        if self.profile is None:
            raise ValueError("this method needs a profile")
        return self.profile


@dataclass(frozen=True)
class Answer:
    """A method's answer to one question, with every reply that it took."""

    question: Question
    answer: str | None
    right: bool
    used: tuple[Answered, ...]
    """Replies to the question itself."""
    ranking: tuple[RankedExpert, ...] = ()
    confidence: float | None = None
    beside: tuple[Answered, ...] = ()
    """Further replies that it took (keywords, aggregation): they cost, too."""


@dataclass(frozen=True)
class MethodOutcome:
    """What one method yields: an answer a question, in order, and a line for the reader."""

    name: str
    answers: tuple[Answer, ...]
    note: str = ""
    transcripts: tuple[Transcript, ...] = ()
    """Of a method in which experts confer: one a question, in the order of the answers."""


@dataclass(frozen=True)
class Method:
    name: str
    run: Callable[[Setting], Awaitable[list[MethodOutcome]]]
    fitted: bool
    """Whether it needs the profile."""


def alone(answered: Answered) -> Answer:
    """The answer of a method that asks one expert."""
    reply = answered.reply
    return Answer(answered.question, reply.answer, answered.right, (answered,), (), reply.confidence)
