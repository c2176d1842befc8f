"""One router a file, all with the same face: `fit(table, features, ...)`, `score`, `rank`, `save`, `load`.

`ROUTERS` lists them by name with their defaults, which were chosen on the validation split of recorded answers
(docs/routers.md); `fit` makes one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class RouterKind:
    """A router of this package, with what a caller may know of it."""

    fit: Any
    seeded: bool = False
    """It draws folds, starting points or experts by a seed."""
    member: bool = False
    """The mixture has it among its members."""
    needs_skills: bool = False
    """It ranks by the skills that a question needs: without any it cannot be fitted."""


SIMPLE: Mapping[str, RouterKind] = {
    "best": RouterKind(BestRouter.fit, member=True),
    "random": RouterKind(RandomRouter.fit, seeded=True),
    "knn": RouterKind(KnnRouter.fit, member=True),
    "prompt_vectors": RouterKind(PromptVectorRouter.fit, member=True),
    "linear": RouterKind(LogisticRouter.fit, member=True),
    "mlp": RouterKind(MlpRouter.fit, seeded=True),
    "kmeans": RouterKind(KmeansRouter.fit, seeded=True, member=True),
    "matrix_factorisation": RouterKind(FactorisationRouter.fit, seeded=True, member=True),
    "item_response": RouterKind(ItemResponseRouter.fit, seeded=True),
    "skills": RouterKind(SkillsRouter.fit, member=True, needs_skills=True),
}
ROUTERS: tuple[str, ...] = (*SIMPLE, "mixture")


def needs_skills(name: str) -> bool:
    """Whether the router of this name cannot be fitted on questions without skills."""
    return name in SIMPLE and SIMPLE[name].needs_skills


def seeded(name: str) -> bool:
    """Whether the router of this name may differ from seed to seed; of another package's it is not known."""
    return name not in SIMPLE or SIMPLE[name].seeded


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
    kind = SIMPLE[name]
    return partial(kind.fit, seed=seed) if kind.seeded else partial(kind.fit)


def fit(name: str, table: Table, questions: Features, seed: int = 0) -> FittedRouter:
    """Fit the router of this name. `seed` decides the folds, starting points and draws of those that have any."""
    return cast(FittedRouter, maker(name, seed)(table, questions))


def fit_held_out(table: Table, questions: Features, seed: int = 0) -> tuple[MixtureRouter, Scores]:
    """The default router, and scores of the fitted questions by routers that did not see them, at the cost of one fit:
    see `MixtureRouter.fit_held_out`."""
    return MixtureRouter.fit_held_out(table, questions, members=_members(questions, seed), seed=seed)


def _members(questions: Features, seed: int) -> Mapping[str, Fit]:
    """The mixture's: those that need skills where questions have some."""
    skilled = any(questions.skills)
    able = [name for name, kind in SIMPLE.items() if kind.member and (skilled or not kind.needs_skills)]
    return {name: maker(name, seed) for name in able}


__all__ = [
    "DEFAULT",
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
    "RouterKind",
    "SkillsRouter",
    "check",
    "fit",
    "fit_held_out",
    "maker",
]
