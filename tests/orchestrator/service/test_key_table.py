"""Keys in a database: the same for every service, and none by memory once it is gone."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from orchestrator.database import Database
from orchestrator.errors import ConfigError, StorageError
from orchestrator.service import key_table
from orchestrator.service.key_table import KeyTable
from orchestrator.service.keys import KeyFile, Keys, new_key


def test_a_key_made_by_one_service_opens_another_and_is_worthless_once_revoked(
    database_url: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLLEGIUM_API_KEYS", raising=False)
    monkeypatch.setattr(key_table, "LOOK", 0.02)
    monkeypatch.setattr("orchestrator.service.keys.LOOK", 0.0)
    here, there = (KeyTable(Database(database_url, tmp_path / "a.sqlite")) for _ in range(2))
    file = KeyFile(tmp_path / "keys.json")
    keys = Keys(file, there)
    assert not keys.needed
    text, key = new_key("ann", ["chat"], 60, 2, models=["words"])
    here.add(key)
    assert _soon(lambda: keys.find(text) == key)
    in_file, _ = file.create("bob")
    assert _soon(lambda: keys.find(in_file) is not None)
    assert keys.find(text) == key
    assert here.remove(key.id) == key
    assert here.remove(key.id) is None
    assert _soon(lambda: keys.find(text) is None)
    assert keys.needed
    here.close()
    there.close()


def test_a_service_that_nobody_asks_for_a_while_knows_its_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_table, "LOOK", 0.02)
    monkeypatch.setattr(key_table, "MAX_AGE", 1.0)
    monkeypatch.setattr("orchestrator.service.keys.LOOK", 0.0)
    table = KeyTable(Database(None, tmp_path / "a.sqlite"))
    text, key = new_key("ann")
    table.add(key)
    time.sleep(1.2)  # between its making and the first request
    keys = Keys(table)
    assert keys.find(text) == key
    time.sleep(1.2)
    assert keys.find(text) == key
    keys.close()


def test_no_key_is_valid_by_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_table, "LOOK", 0.02)
    monkeypatch.setattr(key_table, "MAX_AGE", 0.2)
    monkeypatch.setattr("orchestrator.service.keys.LOOK", 0.0)
    table = KeyTable(Database(None, tmp_path / "a.sqlite"))
    text, key = new_key("ann")
    table.add(key)
    keys = Keys(table)
    assert _soon(lambda: keys.find(text) == key)

    def gone() -> None:
        raise StorageError("the database is gone")

    monkeypatch.setattr(table, "_select", gone)

    def refused() -> bool:
        try:
            keys.find(text)
        except ConfigError as error:
            return "the database is gone" in str(error)
        return False

    assert _soon(refused)
    with pytest.raises(ConfigError):
        assert keys.needed
    monkeypatch.undo()
    assert _soon(lambda: not refused())
    assert keys.find(text) == key
    table.close()


def _soon(condition: object) -> bool:
    """True once it holds; the wait is bounded, so that a failure ends."""
    assert callable(condition)
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.02)
    return False
