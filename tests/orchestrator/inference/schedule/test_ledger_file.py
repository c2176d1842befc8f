"""The ledger in SQLite: full disks, and files that are none of ours."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from orchestrator.errors import StorageError
from orchestrator.inference.request import Completion, Sampling, request_key
from orchestrator.inference.schedule.ledger import Ledger
from orchestrator.inference.schedule.ledger_file import LedgerFile


def reply(number: int, text: str = "hello") -> Completion:
    key = request_key("fp", (("user", str(number)),), Sampling(), 0)
    return Completion(key, text, "stop", 5, 2)


def test_full_disk_is_a_clear_error_and_what_was_stored_stays(tmp_path: Path) -> None:
    storage = LedgerFile(tmp_path / "ledger.sqlite")
    ledger = Ledger(storage)
    ledger.put([("fp", reply(0))]).result()
    pages = storage._writer.execute("PRAGMA page_count").fetchone()[0]
    storage._writer.execute(f"PRAGMA max_page_count={pages + 2}")
    with pytest.raises(StorageError, match=r"full.*nothing that was stored is lost"):
        ledger.put([("fp", reply(number, "x" * 4000)) for number in range(1, 200)]).result()
    ledger.check()
    assert list(ledger.get([reply(number).key for number in range(200)])) == [reply(0).key]
    ledger.close()


def test_a_file_from_the_future_and_a_file_that_is_no_ledger_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(StorageError, match="newer"):
        Ledger(path)
    (tmp_path / "text").write_text("this is no database, and long enough to have a header" * 100)
    with pytest.raises(StorageError, match="text"):
        Ledger(tmp_path / "text")
