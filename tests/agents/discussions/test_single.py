"""`single`: what everything else has to beat."""

from __future__ import annotations

from typing import Any

Stage = Any


async def test_single_asks_the_first_alone(stage: Stage, run: Any) -> None:
    agents = stage.agents([stage.said(2)], [stage.said(3)])
    one = await run(stage, "single", agents)
    assert (one.answer, one.calls, stage.prompts(agents[1])) == ("2", 1, [])
