"""Symbolic-MoE (https://arxiv.org/abs/2503.05641): experts recruited by the skills that a question needs.

Where it differs from the paper by default: profiles are shrunk towards each expert's mean, the k best are recruited
(distinct, no draws), and they vote by log-odds instead of an expert writing the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.votes import AT_THEIR_WORD, Odds
from orchestrator.evaluation.answering import ExpertReply, judge
from orchestrator.evaluation.methods.aggregators import Aggregator, aggregator
from orchestrator.evaluation.methods.fallback import ask_down, fallback_note
from orchestrator.evaluation.methods.keywords import NamedSkills, asked_of, keyword_expert, skills_of
from orchestrator.evaluation.methods.method import Answer, MethodOutcome, Setting
from orchestrator.evaluation.methods.mixture import ranked
from orchestrator.evaluation.methods.synthesis import SynthesisChoice, choose, written
from orchestrator.evaluation.voting import held_out_odds
from orchestrator.inference.expert import Expert
from router.embedding import Features
from router.ranking import Ranking
from router.routers import BestRouter, FittedRouter, SkillsRouter
from router.table import Table

RECRUITED = 3


@dataclass(frozen=True)
class Aggregation:
    """How the replies to every question become one answer."""

    how: Aggregator
    writer: SynthesisChoice | None
    odds: Odds


async def symbolic_moe(setting: Setting) -> list[MethodOutcome]:
    """An expert names skills, the skills router recruits, an aggregator decides."""
    validation = asked_of(setting.fitted_on)
    names = await keyword_expert(setting, validation)
    every = await asyncio.gather(skills_of(setting, names, validation), skills_of(setting, names, setting.questions))
    features = await asyncio.to_thread(_features, setting, [every[0][q.id] for q in validation])
    router = await asyncio.to_thread(_fit, setting.fitted_on, features)
    named = [every[1][question.id] for question in setting.questions]
    rankings = await asyncio.to_thread(_rank, setting, router, named)
    recruit = min(setting.options.recruit or RECRUITED, len(setting.experts))
    wanted = [(question, ranking.experts) for question, ranking in zip(setting.questions, rankings, strict=True)]
    replies = await ask_down(setting, wanted, recruit)
    how = aggregator(setting.options.aggregator, setting.experts)
    writer = await _writer(setting, how) if recruit > 1 else None
    odds = AT_THEIR_WORD
    if recruit > 1 and how.fitted:
        odds = await asyncio.to_thread(held_out_odds, setting.fitted_on, features, _fit, recruit, setting.seed)
    answers = await asyncio.gather(
        *(
            _answer(setting, replies[question.id], ranking, skills, Aggregation(how, writer, odds))
            for question, ranking, skills in zip(setting.questions, rankings, named, strict=True)
        )
    )
    note = (
        f"skills named by {names.name}, {_matched(rankings)} of {len(rankings)} questions matched; {recruit} of "
        f"{len(setting.experts)} experts a question, {_experts_used(replies)} were used; "
        f"{_note(how, writer)}{fallback_note(replies)}"
    )
    return [MethodOutcome("symbolic-moe", tuple(answers), note)]


def _features(setting: Setting, named: Sequence[NamedSkills]) -> Features:
    return setting.context.embedder.features(setting.fitted_on.questions, [one.skills for one in named])


def _fit(table: Table, features: Features) -> FittedRouter:
    """The skills router; where no two runs agree on any keyword, the best experts."""
    return SkillsRouter.fit(table, features) if any(features.skills) else BestRouter.fit(table, features)


def _rank(setting: Setting, router: FittedRouter, named: Sequence[NamedSkills]) -> list[Ranking]:
    asked = [question.question for question in setting.questions]
    return router.rank(setting.context.embedder.features(asked, [one.skills for one in named]))


async def _writer(setting: Setting, how: Aggregator) -> SynthesisChoice | None:
    """Who writes the answers; None: they are counted."""
    if how.benchmarked:
        return await choose(setting)
    return SynthesisChoice({}, how.writer, {}) if how.writer is not None else None


async def _answer(
    setting: Setting, used: Sequence[ExpertReply], ranking: Ranking, named: NamedSkills, aggregation: Aggregation
) -> Answer:
    question, replied = used[0].question, [one for one in used if one.error is None]
    chances = [ranking.probability(one.expert) for one in replied]
    vote = aggregation.how.vote(question, replied, chances, aggregation.odds)
    answer, beside = vote.answer, named.replies
    if aggregation.writer is not None and replied:
        expert: Expert = setting.experts[aggregation.writer.of(question.task)]
        synthesis, written_replies = await written(setting, expert, replied, vote)
        answer, beside = synthesis.answer, (*beside, *written_replies)
    right, unscored = judge(question, answer)
    return Answer(question, answer, right, tuple(used), ranked(ranking), vote.share, beside, unscored)


def _experts_used(replies: Mapping[str, Sequence[ExpertReply]]) -> int:
    return len({one.expert for used in replies.values() for one in used if one.error is None})


def _matched(rankings: Sequence[Ranking]) -> int:
    return sum(any(one.kind == "skill" for one in ranking.evidence) for ranking in rankings)


def _note(how: Aggregator, writer: SynthesisChoice | None) -> str:
    if writer is None or not writer.accuracy:
        return how.note
    best = writer.accuracy[writer.overall]
    return f"the answer is written by the benchmark's best of each task ({writer.overall}: {best:.0%} over all)"
