"""The ledger in a database that several services write at once."""

from __future__ import annotations

import threading
from pathlib import Path

from orchestrator.database import Database
from orchestrator.inference.request import Completion, Sampling, request_key
from orchestrator.inference.schedule.ledger_table import LedgerTable


def reply(number: int, text: str) -> Completion:
    return Completion(request_key("fp", (("user", str(number)),), Sampling(), 0), text, "stop", 5, 2)


def test_writers_of_the_same_keys_agree_on_the_first_and_never_wait_for_each_other(
    database_url: str | None, tmp_path: Path
) -> None:
    tables = [LedgerTable(Database(database_url, tmp_path / "a.sqlite")) for _ in range(4)]
    told: list[dict[str, str]] = [{} for _ in tables]

    def write(place: int) -> None:
        numbers = range(40) if place % 2 else range(39, -1, -1)
        for start in range(0, 40, 8):
            part = [("fp", reply(numbers[at], f"of {place}")) for at in range(start, start + 8)]
            lost = tables[place].insert(part)
            told[place] |= {one.key: one.text for _, one in part} | {key: one.text for key, one in lost.items()}

    threads = [threading.Thread(target=write, args=(place,)) for place in range(len(tables))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert told[0] == told[1] == told[2] == told[3]
    assert tables[0].count() == len(told[0]) == 40
    for table in tables:
        table.close()


def test_a_group_may_name_a_key_twice(database_url: str | None, tmp_path: Path) -> None:
    table = LedgerTable(Database(database_url, tmp_path / "a.sqlite"))
    lost = table.insert([("fp", reply(1, "first")), ("fp", reply(1, "second"))])
    assert {one.text for one in lost.values()} == {"first"}
    assert table.get([reply(1, "").key])[reply(1, "").key].text == "first"
    assert table.get([]) == {}
    table.close()
