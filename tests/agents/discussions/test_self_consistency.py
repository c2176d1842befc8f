"""`self-consistency`: several samples of the first agent."""

from __future__ import annotations

from typing import Any

Stage = Any


async def test_self_consistency_asks_the_first_several_times(stage: Stage, run: Any) -> None:
    agents = stage.agents([stage.said(3), stage.said(2), stage.said(2)], [stage.said(9)])
    one = await run(stage, "self-consistency", agents, samples=3)
    assert (one.answer, one.calls, one.rounds) == ("2", 3, 1)
    assert [seat.name for seat in one.seats] == ["a", "b", "a 2", "a 3"]
    assert {one.seats[turn.seat].model for turn in one.turns} == {"a"}
    assert len(one.prompts) == 1
