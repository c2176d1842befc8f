"""A disk that is really full: a clear stop, the ledger intact, and the same run goes on once there is space."""

from __future__ import annotations

import asyncio
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import StorageError
from orchestrator.inference.engines.scripted import ScriptedOptions
from orchestrator.inference.request import Completion
from orchestrator.inference.schedule.ledger import Ledger
from orchestrator.inference.schedule.pool import LocalPool

SIZE = 2**20


@pytest.fixture
def full_at_one_mib(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """`tmp_path/"disk"` takes one MiB, until the function it gives is called. A file system of its own where this
    process may mount one, else a limit on the size of this process's files."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(disk)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if mounted:
        yield lambda: _run("mount", "-o", "remount,size=64m", str(disk))
        _run("umount", str(disk))
    else:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE, hard))
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


async def test_a_full_disk_stops_the_run_and_the_same_run_goes_on_when_there_is_space(
    full_at_one_mib: Callable[[], None], make_pool: Callable[..., LocalPool], play: Any
) -> None:
    asked: list[str] = []

    def wordy(messages: Any, seed: int) -> str:
        asked.append(messages[-1][1])
        return f"{messages[-1][1]} " + "x" * 4000

    async def run(pool: LocalPool) -> list[Completion | Exception]:
        return await asyncio.wait_for(pool.ask(play.calls(pool, play.expert("a"), 1000)), 60)

    pool = make_pool(wordy, ScriptedOptions(step_seconds=0.002), ledger="disk/ledger")
    outcomes = await run(pool)
    errors = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert {type(error) for error in errors} == {StorageError}
    assert "disk/ledger.sqlite: cannot write the ledger" in str(errors[0])
    assert len(asked) < 1000  # it stopped
    assert isinstance((await pool.ask(play.calls(pool, play.expert("b"), 1)))[0], StorageError)
    pool.ledger.check()
    handed_on = {outcome.key for outcome in outcomes if isinstance(outcome, Completion)}
    assert handed_on
    pool.close()
    pool.ledger.close()

    full_at_one_mib()
    ledger = Ledger(Path(pool.ledger.name))
    ledger.check()
    stored = {
        reply.text.split(" x")[0]
        for reply in ledger.get([call[0].key for call in play.calls(pool, play.expert("a"), 1000)]).values()
    }
    ledger.close()
    assert len(stored) >= len(handed_on)
    before = len(asked)
    again = make_pool(wordy, ledger="disk/ledger")
    assert len(play.texts(await run(again))) == 1000
    assert not stored & set(asked[before:])
    assert again.ledger.count() == 1000


def test_a_disk_without_any_space_is_named_when_the_ledger_is_opened(
    full_at_one_mib: Callable[[], None], tmp_path: Path
) -> None:
    with pytest.raises(OSError), (tmp_path / "disk" / "filler").open("wb") as filler:
        filler.write(bytes(2 * SIZE))
    if (tmp_path / "disk" / "filler").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("only the size of files can be limited here, not the disk")
    with pytest.raises(StorageError, match="cannot open the ledger"):
        Ledger(tmp_path / "disk" / "ledger.sqlite")
