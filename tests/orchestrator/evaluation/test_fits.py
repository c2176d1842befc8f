"""What is fitted on a profile is fitted once, beside the loop, whoever leaves meanwhile."""

from __future__ import annotations

import asyncio
import threading

import pytest

from orchestrator.evaluation.fits import Fits


async def test_a_fit_is_made_once_for_all_callers_while_the_loop_goes_on() -> None:
    fits, go, made = Fits(), threading.Event(), list[str]()

    def make() -> str:
        go.wait(10)
        made.append("made")
        return "fit"

    waiting = [asyncio.create_task(fits.of("key", make)) for _ in range(20)]
    await asyncio.sleep(0.02)
    waiting[0].cancel()
    waiting[1].cancel()
    go.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert found[2:] == ["fit"] * 18
    assert made == ["made"]
    assert await fits.of("key", make) == "fit" == fits.now("key", make)
    assert made == ["made"]
    assert await fits.of("other", make) == "fit"
    assert made == ["made", "made"]


async def test_a_fit_that_failed_is_tried_again() -> None:
    fits = Fits()
    results = [ValueError("no"), ValueError("again")]

    def make() -> str:
        if results:
            raise results.pop(0)
        return "fit"

    with pytest.raises(ValueError, match="no"):
        await fits.of("key", make)
    with pytest.raises(ValueError, match="again"):
        fits.now("key", make)
    assert fits.now("key", make) == "fit"
