"""`escalate`: as many calls as the vote demands, one after the other."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from agents.conversation import DiscussionTerms, converse
from agents.discussions import SchemeOptions, build
from agents.trajectories import TalkRule
from agents.votes import Verdict

Stage = Any


@pytest.mark.parametrize(
    ("answers", "confidences", "calls", "stopped"),
    [
        ((2, 3, 3), (0.9, 0.9, 0.9), 1, "confident alone"),
        ((2, 2, 3), (0.4, 0.9, 0.9), 2, "confident together"),
        ((2, 3, 3), (0.4, 0.3, 0.9), 3, "confident together"),
        ((2, 3, 4), (0.4, 0.3, 0.3), 9, "rounds"),
    ],
)
async def test_escalate_spends_as_much_as_it_must(
    stage: Stage, answers: Any, confidences: Any, calls: int, stopped: str, run: Any
) -> None:
    agents = stage.agents(*[[stage.said(a, c)] for a, c in zip(answers, confidences, strict=True)])
    one = await run(stage, "escalate", agents, rounds=2, threshold=0.8)
    assert (one.calls, one.stopped) == (calls, stopped)


async def asked(stage: Stage, agents: Any, terms: DiscussionTerms, **options: Any) -> Any:
    return await converse(
        stage.question(), agents, build("escalate", SchemeOptions(**options)), name="escalate", terms=terms
    )


async def test_a_rule_says_when_nobody_else_is_asked(stage: Stage) -> None:
    heard: list[tuple[int, str | None, float]] = []

    def enough(replies: int, verdict: Verdict, options: float) -> str | None:
        heard.append((replies, verdict.answer, options))
        return "worth no call" if replies == 2 else None

    agents = stage.agents(*[[stage.said(3, 0.2)]] * 4)
    one = await asked(stage, agents, DiscussionTerms(asking=enough))
    assert (one.calls, one.stopped, one.answer) == (2, "worth no call", "3")
    assert [(replies, answer) for replies, answer, _ in heard] == [(1, "3"), (2, "3")]
    assert {options for _, _, options in heard} == {heard[0][2]}
    assert heard[0][2] > 2


async def test_an_agent_that_fails_is_no_reply_and_the_rule_is_not_asked_of_none(stage: Stage) -> None:
    heard: list[int] = []

    def enough(replies: int, verdict: Verdict, options: float) -> str | None:
        heard.append(replies)
        return "enough"

    agents = stage.agents([RuntimeError("gone")], [stage.said(2, 0.9)], [stage.said(2, 0.9)])
    one = await asked(stage, agents, DiscussionTerms(asking=enough))
    assert (one.stopped, one.answer, one.failures, heard) == ("enough", "2", 1, [1])


async def test_a_whole_panel_discusses_below_the_threshold_only(stage: Stage) -> None:
    def more(replies: int, verdict: Verdict, options: float) -> str | None:
        return None

    unsure = stage.agents([stage.said(2, 0.3)], [stage.said(3, 0.3)])
    talked = await asked(stage, unsure, DiscussionTerms(asking=more), rounds=1)
    assert (talked.calls, talked.stopped) == (4, "rounds")
    sure = stage.agents([stage.said(2, 0.9)], [stage.said(2, 0.9)])
    assert (await asked(stage, sure, DiscussionTerms(asking=more), rounds=1)).stopped == "confident together"
    worthless = dataclasses.replace(DiscussionTerms(asking=more), talk=TalkRule(below=0.0, fitted=30))
    unsure = stage.agents([stage.said(2, 0.3)], [stage.said(3, 0.3)])
    assert (await asked(stage, unsure, worthless, rounds=1)).calls == 2
