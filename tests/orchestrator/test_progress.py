"""Progress of a pool as one line."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.config import Config
from orchestrator.inference.schedule.timeline import PoolProgress
from orchestrator.progress import TokenRate, progress_line


@dataclass
class Workers:
    progress: PoolProgress | None = None
    config: Config = field(default_factory=Config)
    engine: str = "scripted"
    step: str = ""


def test_the_line_says_what_there_is() -> None:
    workers = Workers()
    assert progress_line(workers, 0.0) == "starting 1 worker(s) with scripted ..."
    workers.progress = PoolProgress(10, 4, 2, 600, 3, {"0": "b", "1": "a", "2": "a"})
    assert progress_line(workers, 1234.5) == "6/12 replies · 2 from the ledger · 1,234 tokens/s · now a, b · 3 loads"


def test_replies_that_all_come_from_the_ledger_start_no_worker() -> None:
    line = progress_line(Workers(PoolProgress(0, 0, 96, 0, 0, {})), 0.0)
    assert line == "96/96 replies · 96 from the ledger · 0 loads"


def test_what_a_pipeline_does_stands_in_front_and_is_no_start_of_workers() -> None:
    workers = Workers(step="training till, step 3 of 50")
    assert progress_line(workers, 0.0) == "training till, step 3 of 50"
    workers.progress = PoolProgress(10, 4, 0, 600, 3, {"0": "b"})
    assert progress_line(workers, 0.0) == "training till, step 3 of 50 · 4/10 replies · 3 loads"


def test_speed_is_tokens_over_time() -> None:
    workers, speed = Workers(), TokenRate()
    assert speed(workers) == 0.0
    workers.progress = PoolProgress(1, 1, 0, 1_000_000, 1, {})
    assert speed(workers) > 0
