"""Batches on record."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.database import Database
from orchestrator.service import leases
from orchestrator.service.batch_store import BatchRow, BatchStore


def test_a_batch_is_recorded_by_the_service_that_has_it(
    database_url: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    databases = [Database(database_url, tmp_path / "service.sqlite") for _ in range(2)]
    first, second = (BatchStore(database, name) for database, name in zip(databases, "ab", strict=True))
    made = first.add("ann", "/v1/chat/completions", "file-1", None, [BatchRow(0, "r\x00", {"a": 1})], [])
    monkeypatch.setattr(leases, "SECONDS", -1.0)
    taken = first.take()
    assert taken
    assert taken.id == made.id
    monkeypatch.setattr(leases, "SECONDS", 30.0)
    assert second.take()
    assert first.take() is None
    for store, body in ((first, {"by": "a"}), (second, {"by": "b"}), (first, {"by": "a"})):
        store.record(made.id, [BatchRow(0, "", {}, 200, body)])
    assert second.answered(made.id, right=True) == [BatchRow(0, "r\x00", {"a": 1}, 200, {"by": "b"})]
    assert not first.complete(made.id)
    assert second.complete(made.id)
    assert not second.cancel(made.id)
    for database in databases:
        database.close()
