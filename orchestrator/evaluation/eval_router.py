"""The eval-router pipeline: every router and aggregator on recorded answers. No engine, no worker."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from agents.votes import fit_log_odds, log_odds_matrix
from orchestrator.config import StrictModel
from orchestrator.errors import BadInput
from orchestrator.evaluation.context import Context
from orchestrator.evaluation.costs import cost_unit, costs_of
from orchestrator.evaluation.mixture.recorded import recorded_results, targets_of
from orchestrator.evaluation.route import read_table
from orchestrator.evaluation.voting import options_in, recorded_answer
from router.ballots import Aggregate, Replies
from router.candidates import RouterCandidate
from router.evaluate import Evaluation, FitAggregate, evaluate
from router.routers import DEFAULT, ROUTERS, SkillsRouter, check, maker, needs_skills, seeded
from router.row import Row
from router.table import Table
from router.trial import trial

SYMBOLIC = ("symbolic-moe (code)", "symbolic-moe (code), distinct", "symbolic-moe (paper)")
MAX_SEEDS, MAX_RECRUITED = 100, 1_000


class EvalRouterRequest(StrictModel):
    """Judge routers on a correctness table: who is right how often, alone and voting, against the best expert and
    against whoever knows the answer. Needs no engine."""

    table: str = Field(description="Correctness table (JSON Lines, .gz too).")
    fit: str | None = Field(default=None, description="Fit on this table instead of TABLE's training split.")
    train_split: str | None = Field(default=None, description="Split to fit on (default: `train` if there is one).")
    test_split: str | None = Field(default=None, description="Split to report on (default: `test` if there is one).")
    routers: list[str] = Field(default_factory=lambda: ["all"], min_length=1, description=f"{', '.join(ROUTERS)}, all.")
    experts: list[str] = Field(default_factory=list, description="Experts of the table to use (default: all).")
    skills_from: list[str] = Field(
        default_factory=list,
        description="Keys of the table that serve as skills, such as category,src (default: `skills`).",
    )
    k: list[int] = Field(default_factory=lambda: [3, 5], description="Numbers of recruited experts to report.")
    calls: list[float] = Field(
        default_factory=lambda: [2.0, 3.0], description="Mean calls per question of mixture, asked by need, to report."
    )
    seeds: int = Field(default=5, ge=1, le=MAX_SEEDS, description="Number of seeds for random routers.")
    costs: str | None = Field(
        default=None,
        description='Cost per reply: a=1,b=0.2 or a JSON file {expert: cost} (default: "cost" in the table).',
    )
    html: str | None = Field(default=None, description="Write plots and tables to this file.")

    @model_validator(mode="after")
    def _known(self) -> EvalRouterRequest:
        for name in self.routers:
            if name not in (*SYMBOLIC, "all"):
                try:
                    check(name)
                except ValueError as error:
                    raise ValueError(f"routers: {error}, all") from error
        for k in self.k:
            if not 1 <= k <= MAX_RECRUITED:
                raise ValueError(f"k: must be from 1 to {MAX_RECRUITED}, is {k}")
        for calls in self.calls:
            if not 1 <= calls <= MAX_RECRUITED:
                raise ValueError(f"calls: must be from 1 to {MAX_RECRUITED}, is {calls:g}")
        if self.fit is None and self.train_split is not None and self.train_split == self.test_split:
            raise ValueError(f"test_split: cannot fit and judge on the same split ({self.test_split})")
        return self


def eval_router(request: EvalRouterRequest, context: Context) -> Evaluation:
    """Fit and judge. The tables are read and checked before the embedder is made.

    Raises `BadInput` naming table, row and key.
    """
    note = context.note
    note("reading")
    table = _chosen(read_table(Path(request.table).expanduser()), request)
    other = read_table(Path(request.fit).expanduser()) if request.fit else None
    try:
        if other is not None:
            other = other.select_experts(table.experts)
        _check_splits(table, other, request)
    except ValueError as error:
        raise BadInput(f"{request.fit or request.table}: {error}") from error
    skills = table.skills(request.skills_from)
    _check_skills(request, skills)
    costs = costs_of(request.costs, table)
    note("embedding questions")
    try:
        features = context.embedder.features(table.questions, skills)
        fit = None
        if other is not None:
            fit = other, context.embedder.features(other.questions, other.skills(request.skills_from))
        what = trial(table, features, train_split=request.train_split, test_split=request.test_split, fit=fit)
        seen = features if what.fit_features is None else what.fit_features
        wanted = contestants(any(seen.skills), [name for name in request.routers if name not in (*SYMBOLIC, "all")])
        if "all" not in request.routers:
            wanted = [one for one in wanted if one.name in request.routers]
        ks = sorted({min(k, len(table.experts)) for k in request.k})
        found = evaluate(
            what,
            wanted,
            aggregators(),
            default=DEFAULT if DEFAULT in [one.name for one in wanted] else wanted[0].name,
            ks=ks,
            seeds=request.seeds,
            costs=costs,
            canonical=recorded_answer,
            report=lambda name: note(f"router {name}"),
        )
        if DEFAULT in [one.name for one in wanted] and any(row.predictions for row in table.rows):
            note("mixture, by need")
            results, decisions = recorded_results(what, targets_of(ks, request.calls), costs)
            found = dataclasses.replace(found, results=(*found.results, *results), decisions=decisions)
        unit = f"Costs are in {cost_unit(request.costs, table)}."
        return found if costs is None else dataclasses.replace(found, notes=(*found.notes, unit))
    except ValueError as error:
        raise BadInput(f"{request.table}: {error}") from error


def contestants(skills: bool, named: Sequence[str] = ()) -> list[RouterCandidate]:
    """Every router by its defaults, and the named ones of other packages; where questions have skills, Symbolic-MoE as
    published and as programmed too."""
    every = dict.fromkeys([*ROUTERS, *named])
    found = [
        RouterCandidate(name, partial(maker, name), seeded=seeded(name))
        for name in every
        if skills or not needs_skills(name)
    ]
    if skills:
        code = partial(SkillsRouter.fit, suitability="code", threshold=0.0, merge=2.0)
        paper = partial(SkillsRouter.fit, suitability="paper", threshold=0.0, merge=2.0)
        found += [
            RouterCandidate(SYMBOLIC[0], lambda seed: code, "code"),
            RouterCandidate(SYMBOLIC[1], lambda seed: code, seeded=False),
            RouterCandidate(SYMBOLIC[2], lambda seed: paper, "paper"),
        ]
    return found


def aggregators() -> Mapping[str, FitAggregate]:
    """The votes that can be taken over recorded answers; each question allows as many answers as its row says."""
    options = _OptionCounts()
    odds = partial(_odds, options)
    return {
        "majority": _count,
        "weighted": _weigh,
        "log-odds": odds,
        "log-odds fitted": partial(_fitted_odds, options),
    }


def _count(*votes: Any) -> Aggregate:
    return lambda rows, p: np.ones_like(p)


def _weigh(*votes: Any) -> Aggregate:
    return lambda rows, p: p


def _odds(options: _OptionCounts, *votes: Any) -> Aggregate:
    return lambda rows, p: log_odds_matrix(p, options(rows))


def _fitted_odds(
    options: _OptionCounts,
    rows: Sequence[Row],
    answers: Sequence[Replies],
    p: Sequence[Sequence[float]],
    golds: Replies,
) -> Aggregate:
    try:
        found = fit_log_odds(answers, p, golds, options(rows).tolist())
    except ValueError:
        return _odds(options)
    return lambda rows, p: log_odds_matrix(p, options(rows), found)


class _OptionCounts:
    """How many answers each question allows, [questions]: counted once per table, since every vote asks."""

    def __init__(self) -> None:
        self._known: list[tuple[Sequence[Row], NDArray[np.float64]]] = []

    def __call__(self, rows: Sequence[Row]) -> NDArray[np.float64]:
        for known, counts in self._known:
            if known is rows:
                return counts
        counts = np.array([options_in(row) for row in rows], np.float64)
        self._known.append((rows, counts))
        return counts


def _chosen(table: Table, request: EvalRouterRequest) -> Table:
    try:
        return table.select_experts(request.experts) if request.experts else table
    except ValueError as error:
        raise BadInput(f"{request.table}: experts: {error}") from error


def _check_splits(table: Table, other: Table | None, request: EvalRouterRequest) -> None:
    if request.test_split is not None:
        table.split(request.test_split)
    if request.train_split is not None:
        (other or table).split(request.train_split)


def _check_skills(request: EvalRouterRequest, skills: Sequence[Sequence[str]]) -> None:
    wanted = [name for name in request.routers if needs_skills(name) or name in SYMBOLIC]
    if not any(skills):
        if request.skills_from:
            raise BadInput(f"{request.table}: skills_from: no row has text under {', '.join(request.skills_from)}")
        if wanted:
            raise BadInput(f"{request.table}: router {wanted[0]} needs skills: name keys of the table (--skills-from)")
