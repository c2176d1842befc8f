"""`debate-judge`: the judge decides, unless the judge abstains."""

from __future__ import annotations

from typing import Any

from agents.agent import Agent

Stage = Any


async def test_a_judge_decides_and_the_vote_stands_if_the_judge_abstains(stage: Stage, run: Any) -> None:
    panel = [[stage.said(2)], [stage.said(3)], [stage.said(3)]]
    judge = Agent("judge", stage.Actor(stage.said(2)))
    one = await run(stage, "debate-judge", stage.agents(*panel), rounds=1, leader=judge)
    assert (one.answer, one.vote("majority").answer, one.seats[-1].role) == ("2", "3", "judge")  # type: ignore[union-attr]
    assert one.turns[-1].received == (3, 4, 5)
    silent = await run(stage, "debate-judge", stage.agents(*panel), rounds=1, leader=Agent("judge", stage.Actor("Hm.")))
    assert silent.answer == "3"
