"""Kill a run again and again, and see what it did: for the tests, the soak and its result file."""

from __future__ import annotations

import contextlib
import random
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from replies import asked

DRIVER = Path(__file__).parent / "driver.py"
AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
"""Processes of a local Ray that hold no model and that Ray itself ends a minute or so after the others."""


@dataclass
class Killed:
    """One run's fate."""

    asked_before: int
    """Replies generated when it was killed, over all runs so far."""
    stored: set[str]
    """Replies in the ledger right after."""
    survivors: list[str]
    """Names of its processes that were still there ten seconds later."""


@dataclass
class Victim:
    """A run of `driver.py` over one state folder, and those that follow it."""

    folder: Path
    questions: int
    address: str | None = None
    kills: list[Killed] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def ledger(self) -> Path:
        return self.folder / "state" / "ledger.sqlite"

    def start(self, *, own_ray: bool = False) -> subprocess.Popen[str]:
        address = [] if own_ray or self.address is None else [self.address]
        command = [sys.executable, str(DRIVER), str(self.folder / "state"), str(self.log), str(self.questions)]
        return subprocess.Popen([*command, *address], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def kill(self, run: subprocess.Popen[str], after: int) -> None:
        """`kill -9`, once `after` more replies have been generated (0: as soon as it begins to ask)."""
        assert run.stdout is not None
        assert run.stderr is not None
        first = run.stdout.readline()
        assert first == "ready\n", first + run.stderr.read()
        before = len(asked(self.log))
        while len(asked(self.log)) < before + after and run.poll() is None:
            time.sleep(0.002)
        assert run.poll() is None, run.stderr.read()
        heavy = self._processes(run.pid)
        run.send_signal(signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL, "it had come to its end"
        run.stdout.close()
        run.stderr.close()
        _, alive = psutil.wait_procs(list(heavy), timeout=10)
        self.kills.append(Killed(len(asked(self.log)), self.stored(), [heavy[process] for process in alive]))

    def _processes(self, driver: int) -> dict[psutil.Process, str]:
        """The driver's children and its worker, with their names; Ray's agents left out."""
        found = psutil.Process(driver).children(recursive=True)
        names = {}
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in [*found, *(psutil.Process(call.pid) for call in asked(self.log)[-1:])]:
                names[process] = process.name()
        return {process: name for process, name in names.items() if name not in AGENTS}

    def finish(self, run: subprocess.Popen[str]) -> str:
        """Its last line, once it has come to its end."""
        out, err = run.communicate(timeout=300)
        assert run.returncode == 0, err
        return out.splitlines()[-1]

    def stored(self) -> set[str]:
        with contextlib.closing(sqlite3.connect(self.ledger)) as ledger:
            assert ledger.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            return {text for (text,) in ledger.execute("SELECT text FROM completions")}

    def regenerated(self) -> set[str]:
        """What was generated though it was in the ledger when the run before was killed."""
        prompts = [call.prompt for call in asked(self.log)]
        return {prompt for kill in self.kills for prompt in prompts[kill.asked_before :] if prompt in kill.stored}


def soak(folder: Path, kills: int, seed: int, address: str | None = None) -> tuple[Victim, str]:
    """One run of 400 questions, killed `kills` times at random moments, a quarter of them with a Ray of its own; then
    left to finish: the last line it printed."""
    chance = random.Random(seed)
    victim = Victim(folder, questions=400, address=address)
    for number in range(kills):
        victim.kill(victim.start(own_ray=number % 4 == 0), after=chance.randrange(0, 1200 // (kills + 1)))
    return victim, victim.finish(victim.start())
