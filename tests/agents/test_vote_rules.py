"""Rules of counting, on a conversation's turns."""

from __future__ import annotations

from typing import Any

from agents.conversation import DiscussionTerms, converse
from agents.discussions import SchemeOptions, build
from agents.trajectories import MoveOdds, TalkRule
from agents.transcript import Transcript
from agents.vote_rules import RULES

Stage = Any


async def reconciled(stage: Stage, talk: TalkRule | None, **question: Any) -> Transcript:
    agents = stage.agents(
        [stage.said(2, 0.8)], [stage.said(3, 0.6), stage.said(4, 0.7)], [stage.said(4, 0.55), stage.said(4, 0.9)]
    )
    terms = DiscussionTerms(talk=talk)
    discussion = build("reconcile", SchemeOptions(rounds=1))
    return await converse(stage.question(**question), agents, discussion, name="reconcile", terms=terms)


def test_the_rules_have_names() -> None:
    assert set(RULES) == {"majority", "weighted", "log-odds", "moves"}


async def test_replies_after_talk_count_by_their_moves(stage: Stage) -> None:
    echoes = await reconciled(stage, TalkRule(below=1.01, fitted=50))
    assert (echoes.rounds, echoes.answer) == (2, "2")
    assert [(vote.round, vote.rule) for vote in echoes.votes] == [
        (0, "majority"), (0, "log-odds"), (1, "majority"), (1, "moves"),
    ]  # fmt: skip
    believed = await reconciled(stage, TalkRule(MoveOdds(joined=1.0), 1.01, 50))
    assert believed.answer == "4"
    tally = believed.votes[-1].tallies[0]
    assert (tally.turns, tally.agents) == ((2, 4, 5), ("c", "b", "c"))
    assert (await reconciled(stage, None)).votes[-1].rule == "log-odds"


async def test_a_sure_first_vote_is_not_discussed(stage: Stage) -> None:
    sure = await reconciled(stage, TalkRule(below=0.3, fitted=50))
    assert (sure.rounds, sure.calls, sure.stopped) == (1, 3, "the first vote is sure")
    never = await reconciled(stage, TalkRule(below=0.0, fitted=50))
    assert (never.calls, never.stopped) == (3, "talk was worth nothing on validation questions")


async def test_what_talk_is_worth_says_nothing_about_open_questions(stage: Stage) -> None:
    held = await reconciled(stage, TalkRule(below=0.0, fitted=50), kind="open", answer=None)
    assert held.rounds == 2
    assert "moves" not in {vote.rule for vote in held.votes}


async def test_the_papers_mode_stays(stage: Stage) -> None:
    agents = stage.agents([stage.said(2)], [stage.said(3)])
    discussion = build("reconcile", SchemeOptions(rounds=1, improved=False))
    terms = DiscussionTerms(talk=TalkRule(below=0.0, fitted=50))
    held = await converse(stage.question(), agents, discussion, name="reconcile", terms=terms)
    assert held.rounds == 2
    assert held.votes[-1].rule == "weighted"
