"""The ledger: durable before handed on, never twice, never lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.database import Database
from orchestrator.inference.request import Completion, Sampling, TokenLogprob, request_key
from orchestrator.inference.schedule.ledger import Ledger
from orchestrator.inference.schedule.ledger_file import LedgerFile
from orchestrator.inference.schedule.ledger_rows import LedgerStorage
from orchestrator.inference.schedule.ledger_table import LedgerTable


@pytest.fixture
def storage(database_url: str | None, tmp_path: Path) -> Callable[[], LedgerStorage]:
    """`storage()`: one more connection to the same rows, in SQLite or PostgreSQL."""
    file = tmp_path / "ledger.sqlite"
    return lambda: LedgerTable(Database(database_url, file)) if database_url else LedgerFile(file)


def reply(number: int, text: str = "hello") -> Completion:
    key = request_key("fp", (("user", str(number)),), Sampling(), 0)
    return Completion(key, text, "stop", 5, 2, (TokenLogprob("a", -0.5, (("b", -1.25),)),), 0.25)


def test_what_was_put_is_read_back_equal(storage: Callable[[], LedgerStorage]) -> None:
    ledger = Ledger(storage())
    weird = reply(1, "naïve 🦊 \x00 \u2028 end")
    ledger.put([("fp", weird)]).result()
    (found,) = ledger.get([weird.key, "00" * 32]).values()
    assert found.cached
    assert (found.text, found.logprobs, found.seconds) == (weird.text, weird.logprobs, weird.seconds)
    ledger.close()
    ledger.close()
    again = Ledger(storage())
    assert again.get([weird.key])[weird.key] == found
    again.close()


def test_the_loser_of_an_insert_is_told_what_is_stored(storage: Callable[[], LedgerStorage]) -> None:
    first, second = (Ledger(storage()) for _ in range(2))
    assert first.put([("fp", reply(1, "mine")), ("fp", reply(2))]).result() == {}
    told = second.put([("fp", reply(1, "other")), ("fp", reply(2)), ("fp", reply(3, "new"))]).result()
    assert {key: found.text for key, found in told.items()} == {reply(1).key: "mine"}
    assert second.get([reply(1).key])[reply(1).key].text == "mine"
    first.close()
    second.close()


def test_many_threads_put_and_everything_arrives(storage: Callable[[], LedgerStorage]) -> None:
    ledger = Ledger(storage())

    def put(start: int) -> None:
        for number in range(start, start + 100):
            ledger.put([("fp", reply(number))]).result()

    threads = [threading.Thread(target=put, args=(start,)) for start in range(0, 800, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.count() == 800
    assert len(ledger.get([reply(number).key for number in range(2000)])) == 800
    ledger.check()
    ledger.close()


def test_the_first_completion_of_a_key_stays(storage: Callable[[], LedgerStorage]) -> None:
    ledger = Ledger(storage())
    ledger.put([("fp", reply(1, "first"))]).result()
    ledger.put([("fp", reply(1, "second"))]).result()
    assert ledger.get([reply(1).key])[reply(1).key].text == "first"
    ledger.close()


def test_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_ledger import Ledger, reply
ledger = Ledger(Path({str(tmp_path)!r}) / "ledger.sqlite")
for number in range(10_000):
    ledger.put([("fp", reply(number))]).result()
    print(number, flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    acknowledged = -1
    for line in child.stdout:
        acknowledged = int(line)
        if acknowledged >= 50:
            os.kill(child.pid, signal.SIGKILL)
            break
    rest = [int(line) for line in child.stdout.read().split()]
    child.stdout.close()
    child.wait()
    acknowledged = max([acknowledged, *rest[:-1]])
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.check()
    assert len(ledger.get([reply(number).key for number in range(acknowledged + 1)])) == acknowledged + 1
    ledger.close()
