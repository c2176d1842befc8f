"""The other discussions: who is asked what, when they stop, and whose word is the team's."""

from __future__ import annotations

from typing import Any

Stage = Any


async def test_debate_shows_the_others_one_by_one_and_the_own_reply_as_said(stage: Stage, run: Any) -> None:
    agents = stage.agents([stage.said(2, reason="Mine.")], [stage.said(3, reason="Yours.")], [stage.said(3)])
    one = await run(stage, "debate", agents, rounds=1)
    first: Any = agents[0].chat
    own, asked = first.received[1][1], first.received[1][2]["content"]
    assert own == {"role": "assistant", "content": stage.said(2, reason="Mine.")}
    assert "Yours." in asked
    assert "Mine." not in asked
    assert one.answer == "3"


async def test_a_sparse_debate_follows_its_graph(stage: Stage, run: Any) -> None:
    agents = stage.agents(*[[stage.said(number)] for number in range(4)])
    one = await run(stage, "sparse-debate", agents, rounds=1, topology="ring")
    assert [turn.received for _, turn in one.in_round(1)] == [(0, 1, 3), (0, 1, 2), (1, 2, 3), (0, 2, 3)]
    one = await run(
        stage, "sparse-debate", stage.agents(*[[stage.said(n)] for n in range(3)]), rounds=1, topology="0>1"
    )
    assert [turn.received for _, turn in one.in_round(1)] == [(0,), (0, 1), (2,)]
