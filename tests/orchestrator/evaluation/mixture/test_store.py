"""Each mixture is fitted once per state folder, whoever asks for it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from orchestrator.evaluation.mixture import store as module
from orchestrator.evaluation.mixture.options import FittingOptions
from orchestrator.evaluation.mixture.store import KEPT, MixtureStore
from router.table import Table

KNN = FittingOptions(router="knn")


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was fitted, in order."""
    found: list[Any] = []
    real = module.fit_mixture

    def counted(table: Table, options: FittingOptions, embedder: Any) -> Any:
        found.append(options)
        return real(table, options, embedder)

    monkeypatch.setattr(module, "fit_mixture", counted)
    return found


def test_a_mixture_is_fitted_once_and_read_afterwards(
    table: Table, embedder: Any, tmp_path: Path, fits: list[Any]
) -> None:
    first = MixtureStore(tmp_path).fitted(table, KNN, embedder)
    second = MixtureStore(tmp_path).fitted(table, KNN, embedder)
    assert second.origin == first.origin
    assert len(fits) == 1
    MixtureStore(tmp_path).fitted(table, FittingOptions(router="best"), embedder)
    assert len(fits) == 2


def test_a_damaged_one_is_fitted_anew(
    table: Table, embedder: Any, tmp_path: Path, fits: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    store = MixtureStore(tmp_path)
    version = store.fitted(table, KNN, embedder).origin.version
    (store.path(version) / "mixture.safetensors").write_bytes(b"no arrays")
    with caplog.at_level(logging.WARNING, "collegium"):
        assert store.fitted(table, KNN, embedder).origin.version == version
    assert "fitted anew" in caplog.text
    assert len(fits) == 2
    store.fitted(table, KNN, embedder)
    assert len(fits) == 2


def test_old_versions_leave(table: Table, embedder: Any, tmp_path: Path) -> None:
    store = MixtureStore(tmp_path)
    for size in range(20, 20 + KEPT + 3):
        newest = store.fitted(table.take(range(size)), FittingOptions(router="best"), embedder).origin.version
    assert len(list(tmp_path.iterdir())) == KEPT
    assert (store.path(newest) / "mixture.json").exists()


def test_a_disk_that_takes_nothing_costs_the_storing_alone(
    table: Table, embedder: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING, "collegium"):
        assert MixtureStore(tmp_path / "file").fitted(table, KNN, embedder).best
    assert "is not stored" in caplog.text
