"""ReConcile as the paper has it, and without the defects of its reference code."""

from __future__ import annotations

from typing import Any

import pytest

from agents.conversation import DiscussionTerms, converse
from agents.discussions import DISCUSSIONS, SchemeOptions, build
from agents.prompts import ConvincingExample, PromptLimits
from agents.transcript import Transcript

Stage = Any


async def reconcile(
    stage: Stage, agents: Any, question: Any = None, *, rounds: int = 3, improved: bool = False, **terms: Any
) -> Transcript:
    scheme = SchemeOptions(rounds=rounds, improved=improved)
    asked = question or stage.question()
    return await converse(asked, agents, build("reconcile", scheme), name="reconcile", terms=DiscussionTerms(**terms))


async def test_agents_are_asked_again_only_while_their_answers_differ(stage: Stage) -> None:
    agents = stage.agents([stage.said(2)], [stage.said(3), stage.said(2)], [stage.said(2)])
    one = await reconcile(stage, agents)
    assert (one.rounds, one.stopped, one.answer, one.calls) == (2, "consensus", "2", 6)
    agreed = await reconcile(stage, stage.agents(*[[stage.said(2)]] * 3))
    assert (agreed.rounds, agreed.stopped, agreed.calls) == (1, "consensus", 3)
    stubborn = await reconcile(stage, stage.agents([stage.said(2)], [stage.said(3)], [stage.said(4)]))
    assert (stubborn.rounds, stubborn.stopped, stubborn.calls) == (4, "rounds", 12)


async def test_rounds_are_synchronous_and_show_all_groups_with_explanations_and_confidences(stage: Stage) -> None:
    agents = stage.agents(
        [stage.said(2, 0.8, "One and one.")],
        [stage.said(3, 0.7, "Odd.")],
        [stage.said("2.0", 0.6, "Even.")],
        [stage.said(4)],
    )
    one = await reconcile(stage, agents, rounds=1)
    shown = stage.prompts(agents[0])[1]
    assert stage.prompts(agents[3])[1] == shown
    for part in (
        '"2" (2 agents)',
        '"3" (1 agent)',
        '"4" (1 agent)',
        'confidence 0.8: "One and one."',
        'confidence 0.6: "Even."',
    ):
        assert part in shown
    assert [turn.received for _, turn in one.in_round(1)] == [(0, 1, 2, 3)] * 4
    assert len(one.prompts) == 2


async def test_every_round_is_voted_on_by_weight_and_by_number(stage: Stage) -> None:
    agents = stage.agents([stage.said(2, 1.0)], [stage.said(3, 0.8)], [stage.said(3, 0.7), stage.said(2, 0.95)])
    one = await reconcile(stage, agents, rounds=1)
    votes = {(vote.round, vote.rule): vote.answer for vote in one.votes}
    assert votes == {(0, "majority"): "3", (0, "weighted"): "2", (1, "majority"): "2", (1, "weighted"): "2"}
    first = one.vote("weighted", after=0)
    assert first is not None
    assert [(tally.answer, tally.weight) for tally in first.tallies] == [("2", 1.0), ("3", 0.8)]
    assert one.reply == "Because.\nAnswer: 2"


async def test_equal_answers_in_different_words_are_one_group_and_confidence_may_be_a_percentage(stage: Stage) -> None:
    agents = stage.agents(
        ["Answer: 18\nConfidence: 90"], ["Answer: $18.00\nConfidence: 90%"], ["Answer: 7\nConfidence: 1.0"]
    )
    one = await reconcile(stage, agents, stage.question(answer="18"), rounds=0)
    found = one.vote("weighted")
    assert found is not None
    assert [(tally.answer, tally.weight) for tally in found.tallies] == [("18", 1.6), ("7", 1.0)]


async def test_what_cannot_be_read_abstains_and_is_counted_and_nothing_stale_or_random_votes(stage: Stage) -> None:
    agents = stage.agents(
        ["I cannot help with that."], [stage.said(3), "Sorry."], [stage.said(4, 0.5), stage.said(4, 0.5)]
    )
    one = await reconcile(stage, agents, rounds=1)
    assert one.abstentions == 3
    last = one.vote("weighted", after=1)
    assert last is not None
    assert last.answer == "4"
    assert [one.seats[one.turns[place].seat].name for place in last.abstentions] == ["a", "b"]


async def test_an_agent_that_is_lost_later_keeps_the_answer_it_gave_in_this_conversation(stage: Stage) -> None:
    agents = stage.agents([stage.said(2), OSError("gone")], [stage.said(3)], [stage.said(3)])
    one = await reconcile(stage, agents, rounds=1)
    last = one.vote("majority", after=1)
    assert last is not None
    assert {tally.answer: len(tally.turns) for tally in last.tallies} == {"3": 2, "2": 1}
    assert one.failures == 1


async def test_only_replies_that_a_prompt_shows_have_been_heard(stage: Stage) -> None:
    agents = stage.agents([stage.said(2)], ["Hm."], [stage.said(3)], [OSError("gone")])
    one = await reconcile(stage, agents, rounds=1)
    assert {turn.received for _, turn in one.in_round(1)} == {(0, 2)}


async def test_a_last_round_without_answers_does_not_take_back_what_was_found(stage: Stage) -> None:
    agents = stage.agents([stage.said(2), "Hm."], [stage.said(2), "Hm."], [stage.said(3), "Hm."])
    one = await reconcile(stage, agents, rounds=3)
    assert (one.answer, one.stopped, one.rounds) == ("2", "no answer", 2)


async def test_nobody_answers(stage: Stage) -> None:
    one = await reconcile(stage, stage.agents(["Hm."], [RuntimeError("broken")]))
    assert (one.answer, one.stopped, one.rounds, one.abstentions, one.failures) == (None, "no answer", 1, 2, 1)


async def test_one_answer_of_many_agents_is_no_consensus(stage: Stage) -> None:
    agents = stage.agents([stage.said(2)], ["Hm."], ["Hm.", stage.said(2)], ["Hm.", stage.said(2)])
    one = await reconcile(stage, agents)
    assert (one.rounds, one.stopped) == (2, "consensus")


async def test_half_of_the_panel_is_no_consensus(stage: Stage) -> None:
    agents = stage.agents([stage.said(2)], [stage.said(2)], ["Hm.", stage.said(2)], ["Hm."])
    one = await reconcile(stage, agents)
    assert (one.rounds, one.stopped) == (2, "consensus")


async def test_ties_are_broken_in_the_open(stage: Stage) -> None:
    agents = stage.agents([stage.said(2, 0.81)], [stage.said(3, 0.85)])
    one = await reconcile(stage, agents, rounds=0)
    found = one.vote("weighted")
    assert found is not None
    assert (found.answer, found.decided_by) == ("3", "confidence")


async def test_an_agent_reads_what_convinced_the_others(stage: Stage) -> None:
    agents = stage.agents([stage.said(2)], [stage.said(3)])
    samples = {
        "a": [ConvincingExample("2 + 2?", "Two pairs.", "4")],
        "b": [ConvincingExample("3 + 3?", "Two threes.", "6")],
    }
    await reconcile(stage, agents, rounds=1, samples=samples)
    for prompt in stage.prompts(agents[0]):
        assert "Two threes." in prompt
        assert "Two pairs." not in prompt
    assert all("Two pairs." in prompt for prompt in stage.prompts(agents[1]))


async def test_improved_it_counts_calibrated_probabilities_and_shows_them(stage: Stage) -> None:
    agents = stage.agents([stage.said(2, 0.3)], [stage.said(3, 0.9)], [stage.said(3, 0.9)])
    truth = {"a": 0.9, "b": 0.1, "c": 0.1}
    one = await reconcile(
        stage, agents, rounds=1, improved=True, calibrate=lambda name, _: truth[name], show_calibrated=True
    )
    assert one.answer == "2"
    assert one.vote("majority").answer == "3"  # type: ignore[union-attr]
    assert (
        'confidence 0.9: "Because."' in stage.prompts(agents[1])[1].partition('"2" (1 agent)')[2].partition("\n  ")[2]
    )


async def test_later_prompts_grow_linearly_with_the_panel_up_to_a_bound(stage: Stage) -> None:
    async def longest(size: int, limits: PromptLimits) -> int:
        agents = stage.agents(*[[stage.said(number, reason="x" * 10_000)] for number in range(size)])
        await reconcile(stage, agents, rounds=1, limits=limits)
        return len(stage.prompts(agents[0])[1])

    limits = PromptLimits(explanation=200, per_group=2, groups=8)
    two, four, eight, twenty = [await longest(size, limits) for size in (2, 4, 8, 20)]
    assert (eight - four) <= 2 * (four - two) + 20
    assert twenty == pytest.approx(eight, abs=10)
    assert await longest(20, PromptLimits(explanation=100, per_group=1, groups=2)) < two + 20


@pytest.mark.parametrize("name", DISCUSSIONS)
async def test_every_discussion_withstands_agents_that_fail_and_talk_nonsense(stage: Stage, name: str) -> None:
    agents = stage.agents([OSError("gone")], ["<html>502</html>"], [stage.said(2)], ["7" * 10_000, ""])
    for panel in (agents, agents[:1], agents[1:2], agents[2:3]):
        one = await converse(stage.question(), panel, build(name), name=name, terms=DiscussionTerms())
        assert one.rounds >= 1
        assert all(turn.error or turn.characters >= 0 for turn in one.turns)


async def test_an_agent_is_not_told_that_its_own_reply_is_anothers(stage: Stage) -> None:
    agents = stage.agents([stage.said(2), stage.said(2)], [stage.said(3), stage.said(3)])
    one = await reconcile(stage, agents, rounds=1)
    assert all("\nOther agents and you answered:" in stage.prompts(agent)[1] for agent in agents)
    silent = stage.agents(["no idea", stage.said(2)], [stage.said(3), stage.said(3)], [stage.said(4), stage.said(4)])
    await reconcile(stage, silent, rounds=1)
    assert "\nOther agents answered:" in stage.prompts(silent[0])[1]
    for vote in one.votes:
        for tally in vote.tallies:
            assert tally.agents == tuple(one.seats[one.turns[turn].seat].name for turn in tally.turns)
