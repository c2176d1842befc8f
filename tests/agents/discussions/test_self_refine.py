"""`self-refine`: criticism by the same model, and revision."""

from __future__ import annotations

from typing import Any

Stage = Any


async def test_self_refine_criticises_and_revises(stage: Stage, run: Any) -> None:
    agents = stage.agents([stage.said(3), "You forgot one.", stage.said(2), "Fine.", stage.said(2)])
    one = await run(stage, "self-refine", agents, rounds=2)
    assert (one.answer, one.calls, one.rounds, one.abstentions) == ("2", 5, 5, 0)
    assert [vote.answer for vote in one.votes] == ["3", "2", "2"]
    assert "You forgot one." in stage.prompts(agents[0])[2]
    assert one.edges() == [(0, 1), (0, 2), (1, 2), (2, 3), (2, 4), (3, 4)]
