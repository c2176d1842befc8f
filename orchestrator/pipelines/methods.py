"""Ways to answer: each is a small function from a `Setting` to one answer a question, in an explicit list.

Whatever two methods ask alike (same expert, question, sampling) is generated once: the ledger joins them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from agents.question import Question
from agents.votes import log_odds, majority
from orchestrator.experts.expert import Expert
from orchestrator.pipelines.answering import Answered, answer_pairs, is_right
from orchestrator.pipelines.profile import Replies
from orchestrator.report.data import RankedExpert
from orchestrator.schedule.pool import Pool
from orchestrator.schedule.request import Sampling
from router.embedding import Embedder
from router.routers import BestRouter, KnnRouter
from router.table import Table

NEIGHBOURS, SHRINKAGE = 16, 1.0
"""Of the kNN router: profiles here are small (tens of questions a task), and experts are far apart."""


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
    recruit: int
    done: Callable[[], None]

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
    ranking: tuple[RankedExpert, ...] = ()
    confidence: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What one method yields: an answer a question, in order, and a line for the reader."""

    name: str
    answers: tuple[Answer, ...]
    note: str = ""


@dataclass(frozen=True)
class Method:
    name: str
    run: Callable[[Setting], Awaitable[list[Outcome]]]
    fitted: bool
    """Whether it needs the profile."""


async def each(setting: Setting) -> list[Outcome]:
    """Every expert alone, and the oracle: the share of questions that any expert gets right."""
    replies = await setting.ask([(q, expert) for expert in setting.experts.values() for q in setting.questions])
    outcomes = [
        Outcome(name, tuple(_alone(replies[question.id, name]) for question in setting.questions), "alone")
        for name in setting.experts
    ]
    oracle = []
    for question in setting.questions:
        used = tuple(replies[question.id, name] for name in setting.experts)
        winner = next((one for one in used if one.right), used[0])
        oracle.append(Answer(question, winner.reply.answer, winner.right, used))
    note = "right if any expert is: no router can do better"
    return [*outcomes, Outcome("oracle", tuple(oracle), note)]


async def best(setting: Setting) -> list[Outcome]:
    """The one expert that was best on the validation split."""
    router = BestRouter.fit(setting.fitted_on, setting.embedder.features(setting.fitted_on.questions))
    ranking = router.rank(setting.embedder.features([setting.questions[0].question]))[0]
    expert = setting.experts[ranking.experts[0]]
    replies = await setting.ask([(question, expert) for question in setting.questions])
    answers = tuple(_alone(replies[question.id, expert.name]) for question in setting.questions)
    return [Outcome("best", answers, f"{expert.name}, the best on the validation split")]


async def vote(setting: Setting) -> list[Outcome]:
    """All experts answer; the majority wins."""
    replies = await setting.ask([(q, expert) for expert in setting.experts.values() for q in setting.questions])
    answers = []
    for question in setting.questions:
        used = tuple(replies[question.id, name] for name in setting.experts)
        verdict = majority([one.reply.answer for one in used], [one.reply.confidence for one in used])
        answers.append(Answer(question, verdict.answer, is_right(question, verdict.answer), used, (), verdict.share))
    return [Outcome("vote", tuple(answers), f"majority of {len(setting.experts)} experts")]


async def mixture(setting: Setting) -> list[Outcome]:
    """An embedding-kNN router picks `recruit` experts a question; several vote by the log-odds of being right."""
    table = setting.fitted_on
    embed = setting.embedder.features
    fitted, asked = await asyncio.to_thread(embed, table.questions), [q.question for q in setting.questions]
    router = KnnRouter.fit(table, fitted, neighbours=NEIGHBOURS, shrinkage=SHRINKAGE)
    rankings = router.rank(await asyncio.to_thread(embed, asked))
    chosen = [ranking.top(setting.recruit) for ranking in rankings]
    pairs = [(q, setting.experts[name]) for q, names in zip(setting.questions, chosen, strict=True) for name in names]
    replies = await setting.ask(pairs)
    answers = []
    for question, ranking, names in zip(setting.questions, rankings, chosen, strict=True):
        used = tuple(replies[question.id, name] for name in names)
        verdict = log_odds([one.reply.answer for one in used], [ranking.probability(name) for name in names])
        near = ", ".join(evidence.label for evidence in ranking.evidence[:3])
        shown = tuple(
            RankedExpert(expert=entry.expert, score=entry.score, reason=f"nearest: {near}" if place == 0 else "")
            for place, entry in enumerate(ranking.entries)
        )
        right = is_right(question, verdict.answer)
        answers.append(Answer(question, verdict.answer, right, used, shown, verdict.share))
    used_experts = len({name for names in chosen for name in names})
    note = f"kNN router, {setting.recruit} of {len(setting.experts)} experts a question; {used_experts} were used"
    return [Outcome("mixture", tuple(answers), note)]


METHODS: tuple[Method, ...] = (
    Method("each", each, fitted=False),
    Method("best", best, fitted=True),
    Method("vote", vote, fitted=False),
    Method("mixture", mixture, fitted=True),
)


def _alone(answered: Answered) -> Answer:
    reply = answered.reply
    return Answer(answered.question, reply.answer, answered.right, (answered,), (), reply.confidence)
