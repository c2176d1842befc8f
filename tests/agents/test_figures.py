"""What a discussion did, in figures: accuracy by round, minds changed, who was sure and right."""

from __future__ import annotations

from typing import Any

from agents.conversation import converse
from agents.discussions import SchemeOptions, build
from agents.figures import changes, fate, round_figures, split, sure_and_right
from agents.transcript import Transcript

Stage = Any


async def debate(stage: Stage, *scripts: list[str]) -> Transcript:
    return await converse(
        stage.question(), stage.agents(*scripts), build("debate", SchemeOptions(rounds=1)), name="debate"
    )


async def test_each_round_has_its_figures(stage: Stage) -> None:
    one = await debate(stage, [stage.said(3), stage.said(2)], [stage.said(3), stage.said(2)], [stage.said(2)])
    first, second = round_figures([one])
    assert (first.majority, first.deciding, first.anyone, first.mean_agent) == (0, 0, 1, 1 / 3)
    assert (first.consensus, first.to_right, first.changed) == (0, 0, 0)
    assert (second.majority, second.consensus, second.mean_agent) == (1, 1, 1)
    assert (second.to_right, second.to_wrong, second.changed, second.abstentions) == (2, 0, 2, 0)
    assert second.tokens == sum(turn.prompt_tokens + turn.completion_tokens for _, turn in one.in_round(1))
    assert [(old.answer, new.answer) for old, new in changes(one)] == [("3", "2"), ("3", "2")]
    assert (fate(one), split(one)) == ("rescued", False)


async def test_a_right_majority_may_be_talked_out_of_it_or_stay_split(stage: Stage) -> None:
    lost = await debate(stage, [stage.said(2), stage.said(3)], [stage.said(2), stage.said(3)], [stage.said(3)])
    assert (fate(lost), round_figures([lost])[1].to_wrong) == ("corrupted", 2)
    stubborn = await debate(stage, [stage.said(2)], [stage.said(2)], [stage.said(3)])
    assert (fate(stubborn), split(stubborn)) == ("kept right", True)
    assert round_figures([lost, stubborn])[0].majority == 1


async def test_first_replies_with_a_confidence_are_judged(stage: Stage) -> None:
    one = await debate(stage, [stage.said(2, 0.9)], [stage.said(3, 0.4)])
    assert sure_and_right([one]) == [("a", 0.9, True), ("b", 0.4, False)]
