"""What discussions are made of: who sees whom, what is shown, when to stop."""

from __future__ import annotations

from typing import Any

import pytest

from agents.conversation import Conversation, converse
from agents.discussions.parts import everybody, graph, grouped, next_round, ring, star, topology

Stage = Any


def test_topologies() -> None:
    assert list(everybody(1, 3)) == [0, 1, 2]
    assert [list(ring(0, 1)), list(ring(0, 2)), list(ring(1, 5))] == [[0], [0, 1], [0, 1, 2]]
    assert [list(star(0, 3)), list(star(2, 3))] == [[0, 1, 2], [0, 2]]
    assert list(graph([(5, 0)])(0, 2)) == [0]
    for wrong in ("rings", "1>x", "-1>2", ""):
        with pytest.raises(ValueError, match="topology"):
            topology(wrong)


async def test_a_discussion_of_ones_own_is_one_function(stage: Stage) -> None:
    async def mine(conversation: Conversation) -> None:
        await conversation.open()
        await next_round(conversation, ring, grouped)
        conversation.vote("log-odds")

    one = await converse(stage.question(), stage.agents([stage.said(2)], [stage.said(2)]), mine, name="mine")
    assert (one.discussion, one.answer, one.calls) == ("mine", "2", 4)
