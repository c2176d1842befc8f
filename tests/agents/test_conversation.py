"""A conversation: its seats, its votes, and the record that is left of it."""

from __future__ import annotations

from typing import Any

import pytest

from agents.conversation import AgentCall, Conversation, DiscussionTerms
from agents.discussions import build

Stage = Any


async def test_a_panel_of_none_and_of_two_equal_names_are_refused(stage: Stage, run: Any) -> None:
    with pytest.raises(ValueError, match="at least one agent"):
        await run(stage, "vote", [])
    (agent,) = stage.agents([stage.said(2)])
    with pytest.raises(ValueError, match="two agents are named 'a'"):
        await run(stage, "vote", [agent, agent])
    with pytest.raises(ValueError, match="no discussion 'quarrel'"):
        build("quarrel")


async def test_an_agent_that_failed_is_not_asked_again_and_another_stands_in(stage: Stage) -> None:
    lost, well = stage.agents([stage.said(3), ValueError("gone")], [stage.said(2)])
    conversation = Conversation(stage.question(), [lost, well], DiscussionTerms())
    await conversation.open()
    for _ in range(3):
        await conversation.ask([AgentCall(0, [{"role": "user", "content": "And now?"}])])
    assert len(stage.prompts(lost)) == 2
    assert [turn.error is None for turn in conversation.turns] == [True, True, False, False, False]
    assert conversation.turns[-1].error.startswith("not asked again after a failure: ValueError: gone")
    assert conversation.stand_in(lost) is well
    assert conversation.standing() == [0, 1]  # what it said before it was lost


async def test_a_decision_counts_unless_it_abstains_or_a_later_vote_is_cast(stage: Stage) -> None:
    conversation = Conversation(stage.question(), stage.agents(["Hm."], [stage.said(3)]), DiscussionTerms())
    silent, spoken = await conversation.open()
    conversation.vote("majority")
    conversation.decide(silent)
    assert conversation.transcript("mine").answer == "3"
    conversation.decide(spoken)
    one = conversation.transcript("mine", {"rounds": 1})
    assert (one.answer, one.confidence, one.settings["rounds"]) == ("3", 0.9, 1)


async def test_a_seat_taken_again_is_numbered_and_a_role_has_no_vote(stage: Stage) -> None:
    (agent,) = stage.agents([stage.said(2), stage.said(7)])
    conversation = Conversation(stage.question(), [agent], DiscussionTerms())
    assert (conversation.seat(agent, "judge"), conversation.panel) == (1, [0])
    await conversation.open()
    await conversation.ask([AgentCall(1, [{"role": "user", "content": "Judge."}])])
    assert conversation.vote("majority").answer == "2"
    assert [seat.name for seat in conversation.transcript("mine").seats] == ["a", "a 2"]
