"""Workers killed at random moments, while callers come and go."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from replies import asked

from orchestrator.errors import CollegiumError
from orchestrator.inference.engines.scripted import ScriptedOptions
from orchestrator.inference.request import Completion


@pytest.mark.soak
async def test_workers_killed_at_random_while_callers_come_and_go(
    make_ray_pool: Any, play: Any, tmp_path: Path
) -> None:
    """Two workers, four experts; a worker is killed every two seconds, a third of the callers leave at some moment,
    and some of what they left is asked for again."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    pool, log = make_ray_pool(ScriptedOptions(batch=8, capacity=16), workers=2), tmp_path / "log"
    experts = [play.expert(name, "replies:slow") for name in "abcd"]
    calls = [call for who in experts for call in play.calls(pool, who, 1500, log)]
    chance.shuffle(calls)
    kept: list[Completion | Exception] = []

    async def caller(call: Any) -> None:
        await asyncio.sleep(chance.random() * 20)
        if chance.random() < 0.33:
            ask = asyncio.create_task(pool.ask([call]))
            await asyncio.sleep(chance.random() * 2)
            ask.cancel()
            await asyncio.gather(ask, return_exceptions=True)
            if chance.random() < 0.5:
                return
        kept.extend(await pool.ask([call]))

    async def killer() -> None:
        while True:
            await asyncio.sleep(2)
            if said := asked(log):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(said[-1].pid, signal.SIGKILL)

    killing = asyncio.create_task(killer())
    await asyncio.wait_for(asyncio.gather(*map(caller, calls)), 300)
    killing.cancel()
    failed = [outcome for outcome in kept if isinstance(outcome, CollegiumError)]
    assert not failed, (seed, failed[:3])
    texts = [outcome.text for outcome in kept if isinstance(outcome, Completion)]
    assert max(Counter(texts).values()) == 1
    assert set(texts) <= set(play.stored(pool)), seed
    assert len(pool.timeline.losses) >= 5
