"""What every pipeline works with: configuration, experts, workers, embedder, and who hears of progress."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from orchestrator.config import Config
from orchestrator.inference.expert import Expert
from orchestrator.inference.pool import Pool
from orchestrator.inference.schedule.placement import engine_name
from router.embedding import Embedder


def _quiet(*_: object) -> None:
    pass


@dataclass(frozen=True)
class Context:
    """One record in place of many arguments. Experts, workers and the embedder are made when they are first used: a
    pipeline that asks no expert starts no worker."""

    config: Config
    zoo: Callable[[], Mapping[str, Expert]]
    """The experts by name, in the configuration's order."""
    workers: Callable[[], Pool]
    embedding: Callable[[], Embedder]
    done: Callable[[], None] = _quiet
    """Called once per finished reply."""
    note: Callable[[str], None] = _quiet
    """Called with a line of text whenever a new step begins."""

    @property
    def experts(self) -> Mapping[str, Expert]:
        """The experts by name. Raises `ExpertError` for one that cannot be used."""
        return self.zoo()

    @property
    def pool(self) -> Pool:
        """The workers. Raises `ConfigError` or `SetupError` where they cannot be made."""
        return self.workers()

    @property
    def embedder(self) -> Embedder:
        """Texts to vectors."""
        return self.embedding()

    @property
    def engine(self) -> str:
        """Name of the engine in which local experts run. Raises `SetupError` if it is not installed."""
        return engine_name(self.config.workers)

    def seed(self, given: int | None) -> int:
        """A request's seed, else the configuration's."""
        return self.config.seed if given is None else given

    def only(self, experts: Iterable[Expert]) -> Context:
        """The same with these experts alone."""
        chosen = {expert.name: expert for expert in experts}
        return dataclasses.replace(self, zoo=lambda: chosen)
