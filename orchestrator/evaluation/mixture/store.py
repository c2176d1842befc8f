"""Where fitted mixtures lie: one folder per version below the state folder, so that each is fitted once."""

from __future__ import annotations

import logging
import shutil
import threading
from pathlib import Path

from orchestrator.evaluation.mixture.fit import fit_mixture, version_of
from orchestrator.evaluation.mixture.fitted import FittedMixture
from orchestrator.evaluation.mixture.options import FittingOptions
from router.embedding import Embedder
from router.table import Table

KEPT = 8
"""Versions that stay on disk: the newest."""
_log = logging.getLogger("collegium")
_fitting = threading.Lock()


class MixtureStore:
    """Mixtures by what they were fitted on. Safe for several threads and processes: equal versions are equal."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of_state(cls, state: str | Path) -> MixtureStore:
        """The store of a configuration's state folder."""
        return cls(Path(state).expanduser() / "mixtures")

    def path(self, version: str) -> Path:
        """The folder of one version."""
        return self._folder / version

    def fitted(self, table: Table, options: FittingOptions, embedder: Embedder) -> FittedMixture:
        """The mixture of this table (`fit.for_experts`): read where it was fitted before, else fitted and stored. Slow:
        call it from threads. Raises `BadInput` for what cannot be fitted. A disk that takes nothing costs the storing,
        not the mixture."""
        folder = self.path(version_of(table, options, embedder.identity))
        with _fitting:
            if (folder / "mixture.json").exists():
                try:
                    return FittedMixture.load(folder)
                except ValueError as error:
                    _log.warning("%s; it is fitted anew", error)
            found = fit_mixture(table, options, embedder)
            try:
                found.save(folder)
                self._prune()
            except (OSError, TypeError) as error:
                _log.warning("%s: the mixture is not stored: %s", folder, error)
        return found

    def _prune(self) -> None:
        versions = [path for path in self._folder.iterdir() if (path / "mixture.json").exists()]
        versions.sort(key=lambda path: (path / "mixture.json").stat().st_mtime, reverse=True)
        for path in versions[KEPT:]:
            shutil.rmtree(path, ignore_errors=True)
