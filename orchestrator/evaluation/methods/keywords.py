"""Skills of questions, as an expert of the zoo names them: what the skills router matches where no tags are given."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from agents import keywords
from agents.prompts import keywords as keywords_prompt
from agents.question import Question
from agents.reply import parse_keywords
from orchestrator.evaluation.answering import ExpertReply, prompted
from orchestrator.evaluation.methods.method import Setting
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Sampling
from router.crossfit import folds, out_of_fold
from router.routers import SkillsRouter
from router.table import Table

SAMPLING = Sampling(max_tokens=64, temperature=keywords.TEMPERATURE, structured=keywords.STRUCTURE)
PROBES = 48
"""Validation questions on which the keyword expert is chosen."""


@dataclass(frozen=True, slots=True)
class NamedSkills:
    """The skills of one question, and the replies that named them."""

    skills: tuple[str, ...]
    replies: tuple[ExpertReply, ...]


async def skills_of(
    setting: Setting, expert: Expert, questions: Sequence[Question], runs: int = keywords.RUNS
) -> Mapping[str, NamedSkills]:
    """Question id -> the skills that several of `runs` replies agree on. A single run is greedy, and is believed."""
    sampling = SAMPLING if runs > 1 else replace(SAMPLING, temperature=0.0)

    async def one(question: Question) -> NamedSkills:
        with setting.context.pool.conversation(question.id, setting.seed):
            replies = await asyncio.gather(*(_ask(setting, expert, question, sampling) for _ in range(runs)))
        read = [parse_keywords(reply.reply.text) for reply in replies]
        return NamedSkills(keywords.agreed(read, min(runs, keywords.AGREEING)), tuple(replies))

    found = await asyncio.gather(*(one(question) for question in questions))
    return {question.id: named for question, named in zip(questions, found, strict=True)}


async def keyword_expert(setting: Setting, validation: Sequence[Question]) -> Expert:
    """The expert named by the setting; else the one whose keywords, asked once for a few validation questions, say
    most about who is right: a skills router fitted on some of them puts the right experts of the others first.
    """
    if setting.options.keyword_expert is not None:
        return setting.experts[setting.options.keyword_expert]
    step = max(1, len(validation) // PROBES)
    probes = validation[::step][:PROBES]
    candidates = list(setting.experts.values())
    named = await asyncio.gather(*(skills_of(setting, expert, probes, runs=1) for expert in candidates))
    chances = [await asyncio.to_thread(_worth, setting, [skills[q.id] for q in probes], probes) for skills in named]
    return candidates[int(np.argmax(chances))]


async def _ask(setting: Setting, expert: Expert, question: Question, sampling: Sampling) -> ExpertReply:
    messages = keywords_prompt(question)
    reply = await prompted(setting.context.pool, expert, question, messages, sampling)
    if reply.error is not None:
        # Not every engine can be held to an expression; the plain reply is read all the same.
        reply = await prompted(setting.context.pool, expert, question, messages, replace(sampling, structured=None))
    setting.context.done()
    return reply


def _worth(setting: Setting, named: Sequence[NamedSkills], probes: Sequence[Question]) -> float:
    """Mean score of the expert ranked first by skills, each question judged by a router fitted on the others."""
    table = rows_of(setting.fitted_on, probes)
    if not any(one.skills for one in named) or len(set(table.questions)) < 2:
        return 0.0
    features = setting.context.embedder.features(table.questions, [one.skills for one in named])
    fold = folds(table, min(8, len(set(table.questions))))
    try:
        order = out_of_fold(SkillsRouter.fit, table, features, fold).order()[:, 0]
    except ValueError:  # the questions of some fold have no skill at all
        return 0.0
    return float(np.nan_to_num(table.correct)[np.arange(len(order)), order].mean())


def asked_of(table: Table) -> list[Question]:
    """The questions of a profile's table, as far as their skills go: text and options."""
    return [Question(id=row.id, question=row.question, choices=row.extra.get("choices")) for row in table.rows]


def rows_of(table: Table, questions: Sequence[Question]) -> Table:
    """The table's rows of these questions, in their order."""
    place = {id: row for row, id in enumerate(table.ids)}
    return table.take([place[question.id] for question in questions])
