"""Symbolic-MoE (https://arxiv.org/abs/2503.05641): experts recruited by the skills that a question needs.

Where it differs from the paper by default: an expert names a question's skills once and not five times, profiles are
shrunk towards each expert's mean, the k best are recruited (distinct, no draws), and they vote by log-odds instead of
an expert writing the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.votes import AT_THEIR_WORD, Odds
from orchestrator.evaluation.answering import ExpertReply, judge
from orchestrator.evaluation.methods.aggregators import Aggregator, aggregator
from orchestrator.evaluation.methods.fallback import ask_down, fallback_note
from orchestrator.evaluation.methods.keywords import NamedSkills, skills_of
from orchestrator.evaluation.methods.method import Answer, MethodOutcome, Setting
from orchestrator.evaluation.methods.mixture import ranked
from orchestrator.evaluation.methods.skill_profile import skill_profile
from orchestrator.evaluation.methods.synthesis import SynthesisChoice, choose, written
from orchestrator.inference.expert import Expert
from router.ranking import Ranking
from router.routers import FittedRouter

RECRUITED = 3


@dataclass(frozen=True)
class Aggregation:
    """How the replies to every question become one answer."""

    how: Aggregator
    writer: SynthesisChoice | None
    odds: Odds


async def symbolic_moe(setting: Setting) -> list[MethodOutcome]:
    """An expert names each question's skills, the skills router recruits, an aggregator decides. What is fitted on the
    profile is fitted once (`skill_profile`)."""
    profile = await skill_profile(setting)
    skills = await skills_of(setting, setting.experts[profile.namer], setting.questions, setting.options.keyword_runs)
    named = [skills[question.id] for question in setting.questions]
    rankings = await asyncio.to_thread(_rank, setting, profile.router, named)
    recruit = min(setting.options.recruit or RECRUITED, len(setting.experts))
    wanted = [(question, ranking.experts) for question, ranking in zip(setting.questions, rankings, strict=True)]
    replies = await ask_down(setting, wanted, recruit)
    how = aggregator(setting.options.aggregator, setting.experts)
    writer = await _writer(setting, how) if recruit > 1 else None
    odds = profile.odds(recruit) if how.fitted else AT_THEIR_WORD
    answers = await asyncio.gather(
        *(
            _answer(setting, replies[question.id], ranking, skills_named, Aggregation(how, writer, odds))
            for question, ranking, skills_named in zip(setting.questions, rankings, named, strict=True)
        )
    )
    note = (
        f"skills named by {profile.namer}, {_matched(rankings)} of {len(rankings)} questions matched; {recruit} of "
        f"{len(setting.experts)} experts per question, {_experts_used(replies)} were used; "
        f"{_note(how, writer)}{fallback_note(replies)}"
    )
    return [MethodOutcome("symbolic-moe", tuple(answers), note)]


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
