"""One question through the mixture: whom it asks, in what order, and what comes of failures."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import numpy as np
import pytest

from orchestrator.evaluation.mixture.deciding import Decision, MixtureReply, RecruitTarget, decide
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


def test_within_a_cost_a_dear_expert_must_bring_more(table: Table, embedder: Any) -> None:
    costs = np.array([1.0, 1.0, 1.0])
    rule = dataclasses.replace(NEED, unit=1.0)
    fitted = fit_mixture(table, FittingOptions(router="knn"), embedder)
    (ranking,) = fitted.rank(embedder.features(["Which coin is it?"]))

    def asked(costs: Any, spend: float) -> Decision:
        paid = dataclasses.replace(fitted, paid_need=rule, costs=costs)

        async def ask(name: str) -> MixtureReply:
            return ALL_REPLY[name]

        return asyncio.run(decide(paid, ranking, ask, RecruitTarget(spend=spend), options=4.0))

    assert asked(costs, 3.0).asked == ("coins", "words", "weak")
    dear = asked(np.array([1.0, 2.5, 1.0]), 3.0)  # in the order of the experts: coins, words, weak
    assert dear.asked == ("coins",)
    assert dear.stopped == "going on would gain 0.200, a call of words is worth 0.250"
    assert asked(costs, 2.0).asked == ("coins",)  # held-out questions cost 2.5 at the only price


def test_a_mixture_fitted_to_a_cost_keeps_to_it_on_held_out_questions(
    table: Table, embedder: Any, tmp_path: Any
) -> None:
    costs = "coins=1,words=2,weak=0.5"
    fitted = fit_mixture(table, FittingOptions(router="knn", spend=3.0, costs=costs), embedder)
    assert fitted.paid_need is not None
    assert fitted.costs is not None
    place = fitted.paid_need.price_for(3.0)
    assert place is None or fitted.paid_need.spent[place] <= 3.0
    assert fitted.paid_need.unit == pytest.approx(3.5 / 3)
    fitted.save(tmp_path / "kept")
    again = type(fitted).load(tmp_path / "kept")
    np.testing.assert_array_equal(again.costs, [1.0, 2.0, 0.5])
    np.testing.assert_array_equal(again.paid_need.spent, fitted.paid_need.spent)
