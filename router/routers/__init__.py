"""One router a file, all with the same face: `fit(table, features, ...)`, `score`, `rank`, `save`, `load`.

`ROUTERS` lists them by name with their defaults, which were chosen on the validation split of recorded answers
(docs/routers.md); `fit` makes one.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

from router import extensions
from router.crossfit import Fit
from router.embedding import Features
from router.ranking import Scores
from router.routers.baselines import BestRouter, RandomRouter
from router.routers.factorisation import FactorisationRouter
from router.routers.fitted import FittedRouter
from router.routers.item_response import ItemResponseRouter
from router.routers.kmeans import KmeansRouter
from router.routers.knn import KnnRouter
from router.routers.linear import LogisticRouter, PromptVectorRouter
from router.routers.mixture import MixtureFit, MixtureRouter
from router.routers.mlp import MlpRouter
from router.routers.priced import PricedRouter
from router.routers.skills import SkillsRouter
from router.table import Table

DEFAULT = "mixture"

SIMPLE: Mapping[str, Any] = {
    "best": BestRouter.fit,
    "random": RandomRouter.fit,
    "knn": KnnRouter.fit,
    "prompt_vectors": PromptVectorRouter.fit,
    "linear": LogisticRouter.fit,
    "mlp": MlpRouter.fit,
    "kmeans": KmeansRouter.fit,
    "matrix_factorisation": FactorisationRouter.fit,
    "item_response": ItemResponseRouter.fit,
    "skills": SkillsRouter.fit,
}
SEEDED = ("random", "mlp", "kmeans", "matrix_factorisation", "item_response")
UNSEEDED = tuple(name for name in SIMPLE if name not in SEEDED)
MEMBERS = ("best", "knn", "prompt_vectors", "linear", "kmeans", "matrix_factorisation", "skills")
"""Of the mixture; `skills` takes part where questions have skills."""
ROUTERS: tuple[str, ...] = (*SIMPLE, "mixture")


def check(name: str) -> None:
    """Raises ValueError for a name that is neither one of `ROUTERS` nor another package's (`router.extensions`)."""
    if name not in ROUTERS and not callable(extensions.found(name)):
        raise ValueError(f"no router {name!r}; there are {', '.join(ROUTERS)}, and those of installed packages")


def maker(name: str, seed: int = 0) -> Fit:
    """How the router of this name is fitted, with its defaults. Raises ValueError for an unknown name."""
    check(name)
    if name not in ROUTERS:
        return cast(Fit, extensions.found(name))
    if name == "mixture":
        return MixtureFit(partial(_members, seed=seed), seed)
    return partial(SIMPLE[name], seed=seed) if name in SEEDED else partial(SIMPLE[name])


def fit(name: str, table: Table, questions: Features, seed: int = 0) -> FittedRouter:
    """Fit the router of this name. `seed` decides the folds, starting points and draws of those that have any."""
    return cast(FittedRouter, maker(name, seed)(table, questions))


def fit_held_out(table: Table, questions: Features, seed: int = 0) -> tuple[MixtureRouter, Scores]:
    """The default router, and scores of the fitted questions by routers that did not see them, at the cost of one fit:
    see `MixtureRouter.fit_held_out`."""
    return MixtureRouter.fit_held_out(table, questions, members=_members(questions, seed), seed=seed)


def _members(questions: Features, seed: int) -> Mapping[str, Fit]:
    """The mixture's: `skills` where questions have some."""
    return {name: maker(name, seed) for name in MEMBERS if name != "skills" or any(questions.skills)}


__all__ = [
    "DEFAULT",
    "MEMBERS",
    "ROUTERS",
    "BestRouter",
    "FactorisationRouter",
    "FittedRouter",
    "ItemResponseRouter",
    "KmeansRouter",
    "KnnRouter",
    "LogisticRouter",
    "MixtureFit",
    "MixtureRouter",
    "MlpRouter",
    "PricedRouter",
    "PromptVectorRouter",
    "RandomRouter",
    "SkillsRouter",
    "check",
    "fit",
    "fit_held_out",
    "maker",
]
