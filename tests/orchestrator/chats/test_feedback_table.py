"""Verdicts in a database: numbered once, by whichever service, and taken over from a file once."""

from __future__ import annotations

import threading
from pathlib import Path

from orchestrator.chats.feedback_table import FeedbackTable
from orchestrator.database import Database
from router.feedback import FeedbackLog


def test_several_services_number_their_verdicts_together(database_url: str | None, tmp_path: Path) -> None:
    log = FeedbackLog(tmp_path / "feedback.jsonl")
    databases = [Database(database_url, tmp_path / "a.sqlite") for _ in range(3)]
    tables = [FeedbackTable(database, log) for database in databases]
    assert tables[0].stamp() == 0
    threads = [
        threading.Thread(target=lambda table=table: [table.add("q", "a", 1.0, ["s"]) for _ in range(10)])  # type: ignore[misc]
        for table in tables
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert tables[0].stamp() == tables[2].version == 30
    assert [verdict.version for verdict in tables[1].verdicts()] == list(range(1, 31))
    tables[0].undo(7)
    assert len(tables[1].verdicts()) == 29
    for database in databases:
        database.close()


def test_a_file_is_taken_over_once(database_url: str | None, tmp_path: Path) -> None:
    log = FeedbackLog(tmp_path / "feedback.jsonl")
    log.add("naïve \x00 question", "a", 0.5)
    log.add("another", "b", 1.0)
    database = Database(database_url, tmp_path / "a.sqlite")
    first = FeedbackTable(database, log)
    assert first.verdicts() == log.verdicts()
    assert first.add("new", "a", 0.0) == 3
    log.add("too late", "a", 0.0)
    again = FeedbackTable(database, log)
    assert [one.question for one in again.verdicts()] == ["naïve \x00 question", "another", "new"]
    database.close()
