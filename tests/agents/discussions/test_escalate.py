"""`escalate`: as many calls as the calibrated confidence demands."""

from __future__ import annotations

from typing import Any

import pytest

Stage = Any


@pytest.mark.parametrize(
    ("confidences", "calls", "stopped"),
    [
        ((0.9, 0.9, 0.9), 1, "confident alone"),
        ((0.4, 0.9, 0.9), 3, "confident together"),
        ((0.4, 0.3, 0.3), 9, "rounds"),
    ],
)
async def test_escalate_spends_as_much_as_it_must(
    stage: Stage, confidences: Any, calls: int, stopped: str, run: Any
) -> None:
    answers = (2, 3, 3) if confidences[1] > 0.5 else (2, 3, 4)
    agents = stage.agents(*[[stage.said(a, c)] for a, c in zip(answers, confidences, strict=True)])
    one = await run(stage, "escalate", agents, rounds=2, threshold=0.8)
    assert (one.calls, one.stopped) == (calls, stopped)
