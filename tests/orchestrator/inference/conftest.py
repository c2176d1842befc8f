"""Pools with scripted workers, in this process and on Ray."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.inference.engines.scripted import Script, ScriptedEngine, ScriptedOptions, echo
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Completion, Request, Sampling
from orchestrator.inference.schedule.host import Host, InProcess, OnRay
from orchestrator.inference.schedule.ledger import Ledger
from orchestrator.inference.schedule.pool import LocalPool
from orchestrator.inference.schedule.supervisor import WorkerSpec

MakePool = Callable[..., LocalPool]
Calls = list[tuple[Request, Expert]]


class Gate:
    """A script that waits until it is let go, and knows what it was asked."""

    def __init__(self, closed: bool = True) -> None:
        self.asked: list[str] = []
        self.open = threading.Event()
        if not closed:
            self.open.set()

    def __call__(self, messages: Any, seed: int) -> str:
        self.asked.append(messages[-1][1])
        assert self.open.wait(20)
        return str(messages[-1][1])


class Play:
    """Short words for what the tests do with a pool."""

    Gate = Gate

    @staticmethod
    def expert(name: str, script: str | None = None, shape: str = "s") -> Expert:
        return Expert(name, f"fingerprint of {name}", shape, script=script)

    @staticmethod
    def call(
        pool: LocalPool, who: Expert, prompt: str, log: Path | None = None, **options: Any
    ) -> tuple[Request, Expert]:
        messages = [("system", str(log))] if log else []
        sampling = options.pop("sampling", None) or Sampling()
        return pool.request(who, [*messages, ("user", prompt)], sampling, **options), who

    @classmethod
    def calls(cls, pool: LocalPool, who: Expert, count: int, log: Path | None = None, **options: Any) -> Calls:
        """`count` calls with the prompts "NAME 0", "NAME 1", ..."""
        return [cls.call(pool, who, f"{who.name} {number}", log, **options) for number in range(count)]

    @staticmethod
    def texts(outcomes: Sequence[Completion | Exception]) -> list[str]:
        failed = [outcome for outcome in outcomes if not isinstance(outcome, Completion)]
        assert not failed, failed[:3]
        return [outcome.text for outcome in outcomes if isinstance(outcome, Completion)]

    @staticmethod
    def stored(pool: LocalPool) -> list[str]:
        """The texts in the pool's ledger, read by a connection of our own."""
        with contextlib.closing(sqlite3.connect(pool.ledger.name)) as ledger:
            return [text for (text,) in ledger.execute("SELECT text FROM completions")]

    @staticmethod
    def until(true: Callable[[], bool], seconds: float = 90.0) -> None:
        """Wait, on a thread that may block."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.01)


@pytest.fixture(scope="session")
def play() -> type[Play]:
    return Play


@pytest.fixture
def pools() -> Iterator[list[LocalPool]]:
    """Pools to close at the end of the test, with their ledgers."""
    made: list[LocalPool] = []
    yield made
    for pool in made:
        pool.close()
        pool.ledger.close()
        assert not pool._thread.is_alive(), "the pool's thread does not end"


@pytest.fixture
def make_pool(tmp_path: Path, pools: list[LocalPool]) -> MakePool:
    """A pool with scripted workers on threads of this process."""

    def make(
        script: Script = echo,
        options: ScriptedOptions | None = None,
        workers: int = 1,
        ledger: str = "ledger",
        make_engine: Callable[[], ScriptedEngine] | None = None,
        make_host: Callable[[str], Host] | None = None,
        **more: Any,
    ) -> LocalPool:
        engine = make_engine or (lambda: ScriptedEngine(options, script))
        host = make_host or functools.partial(InProcess, make_engine=engine)
        specs = [WorkerSpec(f"w{i}", "local", functools.partial(host, f"w{i}")) for i in range(workers)]
        more.setdefault("kind_of", lambda _: "local")
        pools.append(LocalPool(specs, Ledger(tmp_path / f"{ledger}.sqlite"), **more))
        return pools[-1]

    return make


@pytest.fixture
def make_ray_pool(ray_cluster: object, tmp_path: Path, pools: list[LocalPool]) -> MakePool:
    """A pool with scripted workers in Ray actors."""

    def make(
        options: ScriptedOptions | None = None,
        workers: int = 1,
        needs: Mapping[str, float] | None = None,
        files: Mapping[str, Sequence[str]] | None = None,
    ) -> LocalPool:
        share = {"needs": needs or {"CPU": 0.1}, "files": files or {}}
        engine = functools.partial(ScriptedEngine, options)
        specs = [
            WorkerSpec(f"w{i}", "local", functools.partial(OnRay, f"w{i}", engine, **share))  # type: ignore[arg-type]
            for i in range(workers)
        ]
        pools.append(LocalPool(specs, Ledger(tmp_path / "ledger.sqlite"), kind_of=lambda _: "local"))
        return pools[-1]

    return make
