"""One question through the mixture: whom it asks, in what order, and what comes of failures."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from agents.votes import log_odds
from orchestrator.evaluation.mixture.deciding import Decision, MixtureReply, RecruitTarget, decide, runner_up
from orchestrator.evaluation.mixture.fit import fit_mixture
from orchestrator.evaluation.mixture.options import FittingOptions
from router.table import Table
from tests.orchestrator.evaluation.mixture.conftest import NEED


@pytest.fixture
def through(table: Table, embedder: Any) -> Any:
    fitted = dataclasses.replace(fit_mixture(table, FittingOptions(router="knn"), embedder), need=NEED)
    (ranking,) = fitted.rank(embedder.features(["Which coin is it?"]))

    def run(answers: dict[str, MixtureReply], target: RecruitTarget, **options: Any) -> tuple[Decision, list[str]]:
        asked: list[str] = []

        async def ask(name: str) -> MixtureReply:
            asked.append(name)
            return answers[name]

        return asyncio.run(decide(fitted, ranking, ask, target, options=4.0, **options)), asked

    return run


ALL_REPLY = {"coins": MixtureReply("a"), "words": MixtureReply("b"), "weak": MixtureReply("b")}


def test_the_first_of_the_ranking_are_asked_and_vote(through: Any) -> None:
    decision, asked = through(ALL_REPLY, RecruitTarget(2))
    assert asked == ["coins", "words"]
    assert decision.asked == decision.replied == ("coins", "words")
    assert decision.verdict.answer == "a"
    assert decision.stopped == "2 experts per question"


def test_who_fails_is_replaced_by_the_next(through: Any) -> None:
    failing = ALL_REPLY | {"coins": MixtureReply(None, failed=True)}
    decision, asked = through(failing, RecruitTarget(2))
    assert asked == ["coins", "words", "weak"]
    assert decision.replied == ("words", "weak")
    assert decision.verdict.answer == "b"
    decision, asked = through(failing, RecruitTarget(2), fallbacks=0)
    assert (asked, decision.replied) == (["coins", "words"], ("words",))
    assert decision.stopped == "no further expert replies"


def test_an_order_of_ones_own_is_kept(through: Any) -> None:
    assert through(ALL_REPLY, RecruitTarget(1), order=["weak", "coins"])[1] == ["weak"]


def test_nobody_replies(through: Any) -> None:
    decision, _ = through(dict.fromkeys(ALL_REPLY, MixtureReply(None, failed=True)), RecruitTarget(3))
    assert decision.replied == ()
    assert decision.verdict.answer is None


def test_by_need_a_clear_vote_ends_and_an_open_one_goes_on(through: Any) -> None:
    clear, _ = through(ALL_REPLY | {"words": MixtureReply("a")}, RecruitTarget(calls=3.0))
    assert clear.asked == ("coins", "words")
    assert clear.verdict.share > 0.8
    assert clear.gains == pytest.approx((0.2, 0.9 - clear.verdict.share))
    assert clear.stopped.startswith("going on would gain 0.0")
    assert clear.stopped.endswith("a call is worth 0.100")
    split, asked = through(ALL_REPLY, RecruitTarget(calls=3.0))
    assert split.asked == tuple(asked) == ("coins", "words", "weak")
    assert split.stopped == "3 experts, the most that one question is put to"


def test_by_need_one_is_asked_where_the_rule_has_no_price_for_so_few_calls(through: Any) -> None:
    decision, _ = through(ALL_REPLY, RecruitTarget(calls=2.0))
    assert decision.asked == ("coins",)
    assert "not right more often" in decision.stopped


def test_the_runner_up_may_be_an_answer_that_nobody_gave() -> None:
    alone = log_odds(["a"], [0.4], options=4)
    assert runner_up(alone, 4) == pytest.approx(0.2)
    assert runner_up(log_odds(["a", "b"], [0.5, 0.5], options=2), 2) == pytest.approx(0.5)
    assert runner_up(log_odds([None], [0.5]), 4) == 0.0


def test_by_need_falls_back_and_without_a_fitted_vote_one_is_asked(through: Any, table: Table, embedder: Any) -> None:
    decision, asked = through(ALL_REPLY | {"coins": MixtureReply(None, failed=True)}, RecruitTarget(calls=2.5))
    assert asked[0] == "coins"
    assert "coins" not in decision.replied
    assert decision.replied
    unfitted = fit_mixture(table.take(range(6)), FittingOptions(router="best"), embedder)
    (ranking,) = unfitted.rank(embedder.features(["Which coin is it?"]))

    async def ask(name: str) -> MixtureReply:
        return MixtureReply("a")

    alone = asyncio.run(decide(unfitted, ranking, ask, RecruitTarget(calls=3.0), options=4.0))
    assert len(alone.asked) == 1
    assert alone.stopped == "one expert: no vote is fitted"
