"""The profile pipeline: experts answer a validation split, each loaded once -> correctness table and matrix."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from agents.question import Question
from orchestrator.config import StrictModel
from orchestrator.errors import BadInput
from orchestrator.evaluation.answering import ExpertReply, answer_all
from orchestrator.evaluation.code_tests import SCORERS
from orchestrator.evaluation.context import Context
from orchestrator.evaluation.fits import Fits
from orchestrator.evaluation.outcomes import check_scored, outcome_of
from orchestrator.evaluation.report.data import Matrix
from orchestrator.evaluation.report.intervals import wilson
from orchestrator.evaluation.report.record import Interval
from orchestrator.evaluation.scoring import scored
from orchestrator.evaluation.tasks import load, parse_columns
from orchestrator.inference.expert import Expert
from orchestrator.inference.prices import price
from orchestrator.inference.request import Sampling
from router.row import Row
from router.table import Table

_log = logging.getLogger("collegium")
Replies = Mapping[tuple[str, str], ExpertReply]
"""(question id, expert name) -> what it answered."""


class AskingRequest(StrictModel):
    """What every pipeline that asks questions needs to know."""

    task: str = Field(
        default="mixed",
        description="A task's name, a file or folder of questions, hf:NAME, lm-eval:NAME; several with commas.",
    )
    columns: str | None = Field(
        default=None,
        description="Which column of a file holds what: question=prompt,answer=target (default: by their names).",
    )
    experts: list[str] = Field(default_factory=list, description="Experts to ask (default: the whole zoo).")
    seed: int | None = Field(
        default=None, ge=0, description="Seed of questions, sampling and bootstrap (default: the configuration's)."
    )
    max_tokens: int = Field(default=160, ge=1, le=32_768, description="Maximum length of a reply, in tokens.")
    temperature: float = Field(default=0.0, ge=0, le=5, description="Sampling temperature; 0 is greedy decoding.")

    logprobs: bool = Field(default=False, description="Store the log-probability of each token.")

    @property
    def sampling(self) -> Sampling:
        """The sampling parameters of every question."""
        return Sampling(max_tokens=self.max_tokens, temperature=self.temperature, logprobs=1 if self.logprobs else None)


class ProfileRequest(AskingRequest):
    """Let experts answer a split, to learn who is good at what."""

    split: str = Field(default="validation", description="The split to answer; routers are fitted on it.")
    questions: int = Field(default=200, ge=1, le=1_000_000, description="Number of questions.")
    score: str | None = Field(
        default=None,
        description="Function that says whether an answer is right: module:function, or an entry point's name "
        "(default: by the question's kind).",
    )
    out: str | None = Field(default=None, description="Also write the correctness table to this file.")


@dataclass(frozen=True)
class Profiled:
    """What methods are fitted on: a correctness table, and the replies behind it as far as they are known."""

    table: Table
    replies: Replies
    fits: Fits = field(default_factory=Fits, kw_only=True, compare=False, repr=False)
    """What was fitted on it so far."""


@dataclass(frozen=True)
class Profile(Profiled):
    """What a split showed of each expert. `table` is what routers are fitted on."""

    matrix: Matrix


def chosen(experts: Mapping[str, Expert], names: Sequence[str]) -> list[Expert]:
    """The named experts, or all. Raises `BadInput` for a name that the zoo does not have."""
    for name in names:
        if name not in experts:
            raise BadInput(f"no expert {name!r} in the zoo; it has {', '.join(experts)}")
    return [experts[name] for name in names or experts]


def questions_of(
    task: str,
    split: str,
    count: int,
    seed: int,
    columns: str | None = None,
    score: str | None = None,
    *,
    golds: bool = True,
    note: Callable[[str], None] = _log.warning,
) -> list[Question]:
    """Questions with gold answers; `score`: the scorer that judges them; without `golds`: all of them with one, or none
    of them. `note` hears which splits were made.

    Raises `BadInput` for an unknown task or split, or if there are none."""
    try:
        questions = load(
            task,
            split,
            count,
            seed,
            parse_columns(columns) if columns else None,
            runs_code=score in SCORERS,
            note=note,
        )
    except ValueError as error:
        raise BadInput(str(error)) from error
    without = next((question.id for question in questions if question.answer is None), None)
    if without is not None and (golds or any(question.answer is not None for question in questions)):
        raise BadInput(
            f"task {task!r}: question {without!r} has no gold answer to score against: name its column "
            f"(--columns answer=NAME), or look with `collegium task`"
        )
    if not questions:
        raise BadInput(f"task {task!r} has no question in split {split!r}")
    return questions


async def profile(request: ProfileRequest, context: Context, note: Callable[[str], None] = _log.warning) -> Profile:
    """Ask every chosen expert every question of the split. `note` hears which splits were made. Raises `NoAnswer` if
    none of them gave a single reply."""
    seed, asked = context.seed(request.seed), chosen(context.experts, request.experts)
    questions = questions_of(
        request.task, request.split, request.questions, seed, request.columns, request.score, note=note
    )
    questions = scored(questions, request.score)
    replies = await answer_all(context.pool, asked, questions, request.sampling, seed, context.done)
    names = [expert.name for expert in asked]
    check_scored(replies)
    matrix = accuracy(questions, names, replies, request.split, seed)
    return Profile(correctness(questions, names, replies, context.experts), replies, matrix)


def correctness(
    questions: Sequence[Question], experts: Sequence[str], replies: Replies, zoo: Mapping[str, Expert] | None = None
) -> Table:
    """The correctness table of these questions. A reply that failed has no cell: the row's `failed` says why, and an
    expert that gave no reply at all is left out. The row's `unread` names replies without an answer: `abstained`, or
    `unreadable`; its `confidence` has what experts stated, so that a service votes as a run does."""
    answered = [name for name in experts if any(replies[one.id, name].judged for one in questions)]
    dollars = _dollars(experts, replies, zoo or {})
    return Table.from_rows((_row(question, experts, replies, dollars) for question in questions), answered)


def _dollars(
    experts: Sequence[str], replies: Replies, zoo: Mapping[str, Expert]
) -> Mapping[tuple[str, str], float] | None:
    """What each reply cost in US dollars; None where that is not known of every one."""
    found: dict[tuple[str, str], float] = {}
    for (id, name), one in replies.items():
        if name not in experts or one.completion is None:
            continue
        cost = price(zoo[name], one.completion) if name in zoo else None
        if cost is None:
            return None
        found[id, name] = cost
    return found


def _row(
    question: Question, experts: Sequence[str], replies: Replies, dollars: Mapping[tuple[str, str], float] | None
) -> Row:
    own = {name: replies[question.id, name] for name in experts}
    replied = {name: one for name, one in own.items() if one.judged}
    kinds = {name: outcome_of(one) for name, one in replied.items()}
    unread = {name: kind for name, kind in kinds.items() if kind in ("abstained", "unreadable")}
    failed = {
        name: f"{type(one.failure).__name__ if one.failure else 'failed'}: {one.error or one.unscored}"[:300]
        for name, one in own.items()
        if not one.judged
    }
    extra: dict[str, Any] = {"kind": question.kind, "cost": _costs(replied, dollars)}
    extra |= {"cost_unit": "USD"} if dollars is not None else {}
    extra |= {"choices": question.choices} if question.choices else {}
    stated = {name: one.reply.confidence for name, one in replied.items() if one.reply.confidence is not None}
    extra |= {"confidence": stated} if stated else {}
    extra |= {"failed": failed} if failed else {}
    extra |= {"unread": unread} if unread else {}
    return Row(
        id=question.id,
        question=question.question,
        correct={name: float(one.right) for name, one in replied.items()},
        split=question.split,
        task=question.task,
        skills=question.skills,
        answer=question.answer,
        predictions={name: one.reply.answer for name, one in replied.items()},
        extra=extra,
    )


def _costs(replied: Mapping[str, ExpertReply], dollars: Mapping[tuple[str, str], float] | None) -> Mapping[str, float]:
    """What each expert's reply cost: US dollars where known of all, else prompt and generated tokens."""
    if dollars is not None:
        return {name: dollars[one.question.id, name] for name, one in replied.items()}
    completions = {name: one.completion for name, one in replied.items()}
    return {name: one.prompt_tokens + one.completion_tokens for name, one in completions.items() if one}


def accuracy(questions: Sequence[Question], experts: Sequence[str], replies: Replies, split: str, seed: int) -> Matrix:
    """Every expert's accuracy on every task, with Wilson intervals, over the questions to which it replied."""
    tasks = list(dict.fromkeys(question.task for question in questions))
    return Matrix(
        experts=experts,
        tasks=tasks,
        cells=[
            [
                rate(
                    replies[question.id, name].right
                    for question in questions
                    if question.task == task and replies[question.id, name].judged
                )
                for task in tasks
            ]
            for name in experts
        ],
        split=split,
        seed=seed,
    )


def rate(rights: object) -> Interval:
    """Share of true values, with its 95% interval."""
    values = [bool(value) for value in rights]  # type: ignore[attr-defined]
    return wilson(sum(values), len(values))
