"""The other discussions: who is asked what, when they stop, and whose word is the team's."""

from __future__ import annotations

from typing import Any

import pytest

from agents.agent import Agent
from agents.conversation import DiscussionTerms, converse
from agents.discussions import SchemeOptions, build
from agents.transcript import Transcript

Stage = Any


async def run(
    stage: Stage, name: str, agents: Any, question: Any = None, terms: DiscussionTerms | None = None, **scheme: Any
) -> Transcript:
    return await converse(
        question or stage.question(), agents, build(name, SchemeOptions(**scheme)), name=name, terms=terms
    )


async def test_single_asks_the_first_alone(stage: Stage) -> None:
    agents = stage.agents([stage.said(2)], [stage.said(3)])
    one = await run(stage, "single", agents)
    assert (one.answer, one.calls, stage.prompts(agents[1])) == ("2", 1, [])


async def test_self_consistency_asks_the_first_several_times(stage: Stage) -> None:
    agents = stage.agents([stage.said(3), stage.said(2), stage.said(2)], [stage.said(9)])
    one = await run(stage, "self-consistency", agents, samples=3)
    assert (one.answer, one.calls, one.rounds) == ("2", 3, 1)
    assert [seat.name for seat in one.seats] == ["a", "b", "a 2", "a 3"]
    assert {one.seats[turn.seat].model for turn in one.turns} == {"a"}
    assert len(one.prompts) == 1


async def test_self_refine_criticises_and_revises(stage: Stage) -> None:
    agents = stage.agents([stage.said(3), "You forgot one.", stage.said(2), "Fine.", stage.said(2)])
    one = await run(stage, "self-refine", agents, rounds=2)
    assert (one.answer, one.calls, one.rounds, one.abstentions) == ("2", 5, 5, 0)
    assert [vote.answer for vote in one.votes] == ["3", "2", "2"]
    assert "You forgot one." in stage.prompts(agents[0])[2]
    assert one.edges() == [(0, 1), (0, 2), (1, 2), (2, 3), (2, 4), (3, 4)]


async def test_debate_shows_the_others_one_by_one_and_the_own_reply_as_said(stage: Stage) -> None:
    agents = stage.agents([stage.said(2, reason="Mine.")], [stage.said(3, reason="Yours.")], [stage.said(3)])
    one = await run(stage, "debate", agents, rounds=1)
    first: Any = agents[0].chat
    own, asked = first.received[1][1], first.received[1][2]["content"]
    assert own == {"role": "assistant", "content": stage.said(2, reason="Mine.")}
    assert "Yours." in asked
    assert "Mine." not in asked
    assert one.answer == "3"


async def test_a_judge_decides_and_the_vote_stands_if_the_judge_abstains(stage: Stage) -> None:
    panel = [[stage.said(2)], [stage.said(3)], [stage.said(3)]]
    judge = Agent("judge", stage.Actor(stage.said(2)))
    one = await run(stage, "debate-judge", stage.agents(*panel), rounds=1, leader=judge)
    assert (one.answer, one.vote("majority").answer, one.seats[-1].role) == ("2", "3", "judge")  # type: ignore[union-attr]
    assert one.turns[-1].received == (3, 4, 5)
    silent = await run(stage, "debate-judge", stage.agents(*panel), rounds=1, leader=Agent("judge", stage.Actor("Hm.")))
    assert silent.answer == "3"


async def test_moa_has_layers_and_an_aggregator(stage: Stage) -> None:
    agents = stage.agents([stage.said(3), stage.said(4), stage.said(5)], [stage.said(3), stage.said(4)])
    one = await run(stage, "moa", agents, rounds=2)
    assert (one.answer, one.calls, one.rounds, one.seats[-1].role) == ("5", 5, 3, "aggregator")
    assert [turn.received for turn in one.turns] == [(), (), (0, 1), (0, 1), (2, 3)]


async def test_a_sparse_debate_follows_its_graph(stage: Stage) -> None:
    agents = stage.agents(*[[stage.said(number)] for number in range(4)])
    one = await run(stage, "sparse-debate", agents, rounds=1, topology="ring")
    assert [turn.received for _, turn in one.in_round(1)] == [(0, 1, 3), (0, 1, 2), (1, 2, 3), (0, 2, 3)]
    one = await run(
        stage, "sparse-debate", stage.agents(*[[stage.said(n)] for n in range(3)]), rounds=1, topology="0>1"
    )
    assert [turn.received for _, turn in one.in_round(1)] == [(0,), (0, 1), (2,)]


@pytest.mark.parametrize(
    ("confidences", "calls", "stopped"),
    [
        ((0.9, 0.9, 0.9), 1, "confident alone"),
        ((0.4, 0.9, 0.9), 3, "confident together"),
        ((0.4, 0.3, 0.3), 9, "rounds"),
    ],
)
async def test_escalate_spends_as_much_as_it_must(stage: Stage, confidences: Any, calls: int, stopped: str) -> None:
    answers = (2, 3, 3) if confidences[1] > 0.5 else (2, 3, 4)
    agents = stage.agents(*[[stage.said(a, c)] for a, c in zip(answers, confidences, strict=True)])
    one = await run(stage, "escalate", agents, rounds=2, threshold=0.8)
    assert (one.calls, one.stopped) == (calls, stopped)


async def test_answers_to_an_open_question_are_grouped_by_meaning_else_an_aggregator_writes(stage: Stage) -> None:
    question = stage.question("open", None)
    meaning = {"a dog": 0, "a hound": 0, "a cat": 1}
    agents = stage.agents(["Answer: a cat"], ["Barks.\nAnswer: A dog.\nConfidence: 0.9"], ["Answer: a hound"])
    terms = DiscussionTerms(same=lambda answers: [meaning.get(answer, 2) for answer in answers])
    one = await run(stage, "vote", agents, question, terms)
    assert (one.answer, one.reply) == ("a dog", "Barks.\nAnswer: a dog")
    scattered = stage.agents(["Answer: a cat", "All of them.\nAnswer: pets"], ["Answer: a dog"])
    one = await run(stage, "vote", scattered, question, terms)
    assert (one.answer, one.reply, one.seats[-1].role) == ("pets", "All of them.\nAnswer: pets", "aggregator")


async def test_a_panel_of_none_and_of_two_equal_names_are_refused(stage: Stage) -> None:
    with pytest.raises(ValueError, match="at least one agent"):
        await run(stage, "vote", [])
    (agent,) = stage.agents([stage.said(2)])
    with pytest.raises(ValueError, match="two agents are named 'a'"):
        await run(stage, "vote", [agent, agent])
    with pytest.raises(ValueError, match="no discussion 'quarrel'"):
        build("quarrel")
