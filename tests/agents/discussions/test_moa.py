"""`moa`: layers, then an aggregator."""

from __future__ import annotations

from typing import Any

Stage = Any


async def test_moa_has_layers_and_an_aggregator(stage: Stage, run: Any) -> None:
    agents = stage.agents([stage.said(3), stage.said(4), stage.said(5)], [stage.said(3), stage.said(4)])
    one = await run(stage, "moa", agents, rounds=2)
    assert (one.answer, one.calls, one.rounds, one.seats[-1].role) == ("5", 5, 3, "aggregator")
    assert [turn.received for turn in one.turns] == [(), (), (0, 1), (0, 1), (2, 3)]
