"""From a profile's table to a fitted mixture: the one function that fits for run, eval-router, SDK and service."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import BadInput
from orchestrator.evaluation.costs import costs_of, fit_router
from orchestrator.evaluation.mixture.fitted import FORMAT, FittedMixture, MixtureOrigin
from orchestrator.evaluation.mixture.options import FittingOptions
from orchestrator.evaluation.mixture.vote_fit import fit_vote
from router.crossfit import folds, out_of_fold
from router.embedding import Embedder, Features
from router.familiarity import Familiarity
from router.ranking import Scores
from router.routers import DEFAULT, FittedRouter, fit_held_out
from router.routers.fitted import fitting_rows
from router.table import Table
from router.trial import FOLDS


def for_experts(table: Table, experts: Sequence[str]) -> Table:
    """The table of these experts alone, in their order; those that it does not know are ranked by their prior. Raises
    `BadInput` if it knows none of them."""
    known = [name for name in experts if name in table.experts]
    if not known:
        raise BadInput(f"experts: the table knows none of {', '.join(experts)}; it has {', '.join(table.experts)}")
    return table.select_experts(known).add_experts(experts)


def version_of(table: Table, options: FittingOptions, embedding: str) -> str:
    """What a mixture fitted on this has as its version: 32 hexadecimal digits. `embedding`: `Embedder.identity`."""
    try:
        package = version("collegium")
    except PackageNotFoundError:
        package = "source"
    digest = hashlib.sha256()
    head = [FORMAT, package, options.model_dump(mode="json"), list(table.experts), embedding]
    digest.update(json.dumps(head, sort_keys=True).encode())
    for row in table.rows:
        digest.update(json.dumps(row.as_json(), sort_keys=True).encode() + b"\n")
    return digest.hexdigest()[:32]


def fit_mixture(table: Table, options: FittingOptions, embedder: Embedder) -> FittedMixture:
    """Fit router, calibration and votes on the table (`for_experts`). Tags of its questions are not looked at: what is
    asked has none. Raises `BadInput` for what cannot be fitted."""
    try:
        features = embedder.features(table.questions)
    except ValueError as error:
        raise BadInput(str(error)) from error
    return fit_features(table, features, options, embedder.identity)


def fit_features(table: Table, features: Features, options: FittingOptions, embedding: str) -> FittedMixture:
    """`fit_mixture` of questions that are embedded already; `embedding` names how."""
    return fit_and_hold_out(table, features, options, embedding).mixture


@dataclass(frozen=True)
class HeldOutFit:
    """A fitted mixture, and what routers that had not seen a question would have said of it."""

    mixture: FittedMixture
    seen: Table
    """The rows that it was fitted on: those marked `repeat` are left out."""
    held_out: Scores | None
    """Of `seen`, each row by a router fitted on other folds; None with too few questions."""


def fit_and_hold_out(table: Table, features: Features, options: FittingOptions, embedding: str) -> HeldOutFit:
    """`fit_features`, with the out-of-fold scores of the questions that it was fitted on."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # on small matrices several threads wait for each other more than they compute
        router, seen, held_out = _fit_router(table, features, options)
        costs = _costs(table, options)
        vote = fit_vote(seen, held_out, options.seed, costs)
        familiarity = Familiarity.fit(table.questions, features)
    feedback = sum(bool(row.extra.get("feedback")) for row in table.rows)
    origin = MixtureOrigin(
        version_of(table, options, embedding), options.router, len(table.rows) - feedback, feedback, embedding
    )
    mixture = FittedMixture(origin, router, vote.odds, vote.shared, familiarity, vote.need, vote.paid_need, costs)
    return HeldOutFit(mixture, seen, held_out)


def _costs(table: Table, options: FittingOptions) -> NDArray[np.float64] | None:
    """[experts], of one reply each, where questions may cost so much on average; None where they are not paid for."""
    costs = None if options.spend is None else costs_of(options.costs, table)
    return None if costs is None else np.array([costs[name] for name in table.experts], np.float64)


def _fit_router(table: Table, features: Features, options: FittingOptions) -> tuple[FittedRouter, Table, Scores | None]:
    """(router, the rows it was fitted on, their scores by routers that did not see them; None with too few)."""

    def fit(part: Table, questions: Features) -> FittedRouter:
        return fit_router(options.router, part, questions, options, options.seed)

    seen, questions = fitting_rows(table, features)
    parts = min(FOLDS, len(set(seen.questions)))
    if parts < 3:  # a router needs two questions to fit on
        return fit(table, features), seen, None
    if options.router == DEFAULT and options.quality is None and options.spend is None:
        router, held_out = fit_held_out(table, features, options.seed)
        return router, seen, held_out
    return fit(table, features), seen, out_of_fold(fit, seen, questions, folds(seen, parts, options.seed))
