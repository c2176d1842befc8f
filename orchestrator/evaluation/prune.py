"""The prune pipeline: a mixture with fewer experts, decided on some recorded answers and reported on others.

Without names, experts leave in the order in which the router asks them least, and after each one the mixture is fitted
anew. With `retire` or `forget` it unlearns (`unlearning`). No engine, no worker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from orchestrator.config import StrictModel
from orchestrator.errors import BadInput
from orchestrator.evaluation.context import Context
from orchestrator.evaluation.mixture.deciding import RecruitTarget
from orchestrator.evaluation.mixture.fit import fit_and_hold_out
from orchestrator.evaluation.mixture.fitted import FittedMixture
from orchestrator.evaluation.mixture.options import FittingOptions
from orchestrator.evaluation.mixture.recorded import decisions_by, score_of
from orchestrator.evaluation.route import read_table
from orchestrator.evaluation.unlearning import UnlearnedSet, knowing, skill, strengths, unlearned
from router.embedding import Features
from router.estimate import Difference, Estimate, Resamples
from router.ranking import Ranking, rankings
from router.table import Table
from router.trial import RoutingTrial, trial

Floats = NDArray[np.float64]


class PruneRequest(StrictModel):
    """Which experts does a mixture not need, and what is lost without some of them? Reads recorded answers."""

    table: str = Field(description="Correctness table (JSON Lines, .gz too).")
    fit: str | None = Field(default=None, description="Decide on this table instead of TABLE's training split.")
    train_split: str | None = Field(default=None, description="Split to decide on (default: `train` if there is one).")
    test_split: str | None = Field(default=None, description="Split to report on (default: `test` if there is one).")
    experts: list[str] = Field(default_factory=list, description="Experts of the table to use (default: all).")
    recruit: int = Field(default=1, ge=1, le=64, description="Experts per question.")
    seed: int | None = Field(
        default=None, ge=0, description="Seed of the router's folds (default: the configuration's)."
    )
    keep: int | None = Field(
        default=None, ge=1, description="Keep so many experts (default: as few as max_loss allows)."
    )
    max_loss: float | None = Field(
        default=None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Maximum loss against the best number of experts, on the questions that decide (share, 0 to 1; "
        "default: 0).",
    )
    retire: list[str] = Field(default_factory=list, description="Unlearn: experts that leave.")
    forget: list[str] = Field(
        default_factory=list, description="Unlearn: tasks of the table; every expert that knows them leaves."
    )
    floor: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        allow_inf_nan=False,
        description="Of forget: a remaining expert's maximum accuracy on those tasks (share, 0 to 1; default: 0.1).",
    )
    out: str | None = Field(default=None, description="Write a configuration with the remaining experts to this file.")

    @model_validator(mode="after")
    def _one_way(self) -> PruneRequest:
        if (self.retire or self.forget) and (self.keep is not None or self.max_loss is not None):
            raise ValueError("retire: give either names to unlearn, or keep and max_loss to prune by use, not both")
        if self.retire and self.forget:
            raise ValueError("forget: give experts (retire) or tasks (forget), not both")
        if self.keep is not None and self.max_loss is not None:
            raise ValueError("max_loss: give either keep or max_loss, not both")
        if self.fit is None and self.train_split is not None and self.train_split == self.test_split:
            raise ValueError(f"test_split: cannot decide and report on the same split ({self.test_split})")
        if self.floor is not None and not self.forget:
            raise ValueError("floor: belongs to forget")
        return self


@dataclass(frozen=True, slots=True)
class PruneStep:
    """The mixture of these experts, fitted anew."""

    experts: tuple[str, ...]
    dropped: tuple[str, ...]
    """Who left since the step before."""
    used: Mapping[str, float]
    """Share of the deciding questions for which each expert is asked, by routers that had not seen them."""
    fitted: float
    """Accuracy on the deciding questions, by routers that had not seen them."""
    accuracy: Estimate
    """On the tested questions."""
    change: Difference
    """Against the mixture of all, on the tested questions."""
    scores: tuple[float, ...]
    """Of each tested question, in the table's order: whoever wants another interval computes it from these."""


@dataclass(frozen=True)
class Pruning:
    """What became of the mixture; `dataclasses.asdict` makes it JSON."""

    fitted_on: str
    tested_on: str
    fitted_questions: int
    questions: int
    recruit: int
    steps: tuple[PruneStep, ...]
    """From all experts to the fewest."""
    chosen: int
    """Place of the step that is kept."""
    why: str
    forget: UnlearnedSet | None = None
    retain: UnlearnedSet | None = None
    zoo: Mapping[str, Any] = field(default_factory=dict)
    """The remaining experts as a configuration has them; empty where it does not know them all."""
    notes: tuple[str, ...] = ()

    @property
    def kept(self) -> tuple[str, ...]:
        """The experts that remain."""
        return self.steps[self.chosen].experts


@dataclass(frozen=True)
class _Fitted:
    """A mixture of some experts, with what it makes of both parts."""

    experts: tuple[str, ...]
    used: Mapping[str, float]
    fitted: float
    scores: Floats
    """[tested questions]"""


@dataclass(frozen=True)
class _Pruner:
    """One request on its parts."""

    request: PruneRequest
    what: RoutingTrial
    seed: int

    @property
    def fit(self) -> tuple[Table, Features]:
        """What decides."""
        assert self.what.fit is not None
        assert self.what.fit_features is not None
        return self.what.fit, self.what.fit_features

    def mixture(self, experts: Sequence[str]) -> _Fitted:
        """Fit the mixture of these experts, and let it answer both parts from what is recorded."""
        table, features = self.fit
        made = fit_and_hold_out(table.select_experts(experts), features, FittingOptions(seed=self.seed), "")
        if made.held_out is None:
            raise BadInput(f"{self.request.table}: too few different questions to decide on: at least 3 are needed")
        recruit = min(self.request.recruit, len(experts))
        order = made.held_out.order()[:, :recruit]
        used = {name: float((order == place).any(1).mean()) for place, name in enumerate(experts)}
        unseen = rankings(made.held_out, {}, [()] * len(made.seen.rows))
        fitted = _answered(made.mixture, unseen, made.seen, recruit)
        tested = self.what.test.select_experts(experts)
        scores = _answered(made.mixture, made.mixture.rank(self.what.test_features), tested, recruit)
        return _Fitted(tuple(experts), used, float(fitted.mean()), scores)


def prune(request: PruneRequest, context: Context) -> Pruning:
    """Decide on one part, report on another. The tables are read and checked before the embedder is made.

    Raises `BadInput` naming table, row, key, expert or task."""
    context.note("reading")
    table = read_table(Path(request.table).expanduser())
    other = read_table(Path(request.fit).expanduser()) if request.fit else None
    try:
        table = table.select_experts(request.experts) if request.experts else table
        other = other.select_experts(table.experts) if other is not None else None
    except ValueError as error:
        raise BadInput(f"{request.fit or request.table}: {error}") from error
    names = table.experts
    _check(request, table, context)
    context.note("embedding questions")
    try:
        features = context.embedder.features(table.questions)
        fit = None if other is None else (other, context.embedder.features(other.questions))
        what = trial(table, features, train_split=request.train_split, test_split=request.test_split, fit=fit)
    except ValueError as error:
        raise BadInput(f"{request.table}: {error}") from error
    if what.fit is None:
        raise BadInput(
            f"{request.table}: nothing to decide on apart from what is reported: give --fit TABLE, or --train-split "
            f"and --test-split (the table has {', '.join(table.splits) or 'no splits'})"
        )
    unasked = [name for name, asked in zip(names, (~np.isnan(what.fit.correct)).sum(0), strict=True) if not asked]
    if unasked:
        raise BadInput(
            f"{request.fit or request.table}: {unasked[0]!r} was asked none of the questions that decide: nothing is "
            f"known of it; leave it out with --experts"
        )
    pruner = _Pruner(request, what, context.seed(request.seed))
    if request.retire or request.forget:
        leaving = list(dict.fromkeys(request.retire)) or knowing(what.fit, request.forget, _floor(request))
        context.note(f"without {', '.join(leaving)}")
        made = [pruner.mixture(names), pruner.mixture([name for name in names if name not in leaving])]
        chosen = 1
        why = (
            "named by the request" if request.retire else f"above {_floor(request):.0%} on {', '.join(request.forget)}"
        )
        why = f"{', '.join(leaving)} left: {why}"
    else:
        made = _by_use(pruner, context)
        chosen, why = _chosen(made, request)
    return _result(pruner, made, chosen, why, _zoo(made[chosen].experts, context))


def _check(request: PruneRequest, table: Table, context: Context) -> None:
    names = table.experts
    if len(names) < 2:
        raise BadInput(f"{request.table}: has one expert, {names[0]!r}: there is nothing to prune")
    if request.keep is not None and request.keep >= len(names):
        raise BadInput(f"keep: the table has {len(names)} experts: keep fewer than that")
    if request.recruit > len(names):
        raise BadInput(f"recruit: {request.recruit} experts per question, and {request.table} has {len(names)}")
    for name in request.retire:
        if name not in names:
            raise BadInput(f"retire: no expert {name!r} in {request.table}; it has {', '.join(names)}")
    if set(request.retire) == set(names):
        raise BadInput("retire: no expert would remain")
    known = [one for one in dict.fromkeys(skill(row) for row in table.rows) if one is not None]
    for task in request.forget:
        if task not in known:
            raise BadInput(f"forget: no task {task!r} in {request.table}; it has {', '.join(known) or 'none'}")
    if request.recruit > 1 and not any(row.predictions for row in table.rows):
        raise BadInput(f"recruit: {request.table} has no answers (`predictions`) that {request.recruit} could vote on")
    if request.out and (unknown := [name for name in names if name not in context.config.experts]):
        raise BadInput(f"out: the configuration has no expert {unknown[0]!r}, which {request.table} names")


def _by_use(pruner: _Pruner, context: Context) -> list[_Fitted]:
    """The mixture of all, and after each expert that leaves. Of equally used ones the one that is right less often on
    the deciding questions leaves first."""
    table = pruner.fit[0]
    right = dict(zip(table.experts, np.nan_to_num(table.correct).mean(0).tolist(), strict=True))
    experts = pruner.what.test.experts
    least = pruner.request.keep or 1
    made = [pruner.mixture(experts)]
    while len(experts) > least:
        used = made[-1].used
        leaves = min(experts, key=lambda name: (used[name], right[name]))
        experts = tuple(name for name in experts if name != leaves)
        context.note(f"{len(experts)} experts, without {leaves}")
        made.append(pruner.mixture(experts))
    return made


def _chosen(made: Sequence[_Fitted], request: PruneRequest) -> tuple[int, str]:
    if request.keep is not None:
        return len(made) - 1, f"keep {request.keep}, as the request says"
    allowed = request.max_loss or 0.0
    # Against the best step and not against all experts: few questions decide, and fewer experts look better by luck.
    best = max(one.fitted for one in made)
    place = max(n for n, one in enumerate(made) if one.fitted >= best - allowed - 1e-9)
    return place, (
        f"the fewest experts at most {100 * allowed:g} points below the best number on the deciding questions "
        f"({best:.1%}; all: {made[0].fitted:.1%}, kept: {made[place].fitted:.1%})"
    )


def _floor(request: PruneRequest) -> float:
    return 0.1 if request.floor is None else request.floor


def _result(pruner: _Pruner, made: Sequence[_Fitted], chosen: int, why: str, zoo: Mapping[str, Any]) -> Pruning:
    what, request = pruner.what, pruner.request
    drawn = Resamples(what.test.questions)
    accuracies = drawn.estimates([one.scores for one in made])
    changes = drawn.differences([(one.scores, made[0].scores) for one in made])
    before: tuple[str, ...] = made[0].experts
    steps = []
    for one, accuracy, change in zip(made, accuracies, changes, strict=True):
        dropped = tuple(name for name in before if name not in one.experts)
        scores = tuple(one.scores.tolist())
        steps.append(PruneStep(one.experts, dropped, one.used, one.fitted, accuracy, change, scores))
        before = one.experts
    notes, forget, retain = list(what.notes), None, None
    if missing := int(np.isnan(what.test.correct).sum()):
        notes.append(f"{missing} answers are not recorded on the tested questions: there the next expert stands in")
    if request.retire or request.forget:
        tasks = tuple(request.forget) or strengths(pruner.fit[0], request.retire)
        if tasks:
            own = np.array([skill(row) in tasks for row in what.test.rows])
            last = made[-1]
            forget, retain = (
                unlearned(what.test, rows, last.experts, made[0].scores, last.scores) for rows in (own, ~own)
            )
        if not tasks:
            notes.append("no forget set: at no task of the table is a retired expert the best (or it names no tasks)")
        elif forget is None:
            notes.append(f"no forget set: no tested question is of {', '.join(tasks)}")
    return Pruning(
        fitted_on=what.fitted_on,
        tested_on=what.tested_on,
        fitted_questions=len(pruner.fit[0].rows),
        questions=len(what.test.rows),
        recruit=request.recruit,
        steps=tuple(steps),
        chosen=chosen,
        why=why,
        forget=forget,
        retain=retain,
        zoo=zoo,
        notes=tuple(notes),
    )


def _answered(mixture: FittedMixture, ranked: Sequence[Ranking], table: Table, recruit: int) -> Floats:
    """[questions], the score of the mixture's answer from what is recorded; 0 where nobody was asked."""
    if recruit > 1:
        (decided,) = decisions_by(mixture, ranked, table, [RecruitTarget(recruit)])
        return np.array([score_of(row, one) for row, one in zip(table.rows, decided, strict=True)])
    return np.array(
        [
            next((row.correct[name] for name in ranking.experts if name in row.correct), 0.0)
            for row, ranking in zip(table.rows, ranked, strict=True)
        ]
    )


def _zoo(names: Sequence[str], context: Context) -> Mapping[str, Any]:
    known = context.config.experts
    if any(name not in known for name in names):
        return {}
    return {"experts": {name: known[name].model_dump(mode="json", exclude_defaults=True) for name in names}}
