"""Recorded answers are decided on by the very coroutine that decides on live ones."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import numpy as np
import pytest

from agents.correlated_votes import prefixes
from orchestrator.evaluation.mixture.deciding import MixtureReply, RecruitTarget, decide
from orchestrator.evaluation.mixture.fit import fit_features
from orchestrator.evaluation.mixture.options import FittingOptions
from orchestrator.evaluation.mixture.recorded import decisions_of, recorded_results, targets_of
from orchestrator.evaluation.mixture.vote_fit import ballot_of
from orchestrator.evaluation.voting import recorded_answer
from router.ballots import Ballots
from router.row import Row
from router.table import Table
from router.trial import trial
from tests.orchestrator.evaluation.mixture.conftest import EXPERTS, NEED, rows


@pytest.mark.parametrize("target", [RecruitTarget(2), RecruitTarget(calls=2.0)])
def test_recorded_and_live_decisions_are_the_same(table: Table, embedder: Any, target: RecruitTarget) -> None:
    mixture = fit_features(table, embedder.features(table.questions), FittingOptions(router="knn"), "groups")
    tested = Table.from_rows(rows(20, seed=5), EXPERTS)
    features = embedder.features(tested.questions)
    (recorded,) = decisions_of(mixture, tested, features, [target])

    async def live(row: Row, ranking: Any) -> Any:
        async def ask(name: str) -> MixtureReply:
            await asyncio.sleep(0)
            return MixtureReply(row.predictions[name])

        return await decide(mixture, ranking, ask, target, options=10.0)

    async def every() -> list[Any]:
        rankings = mixture.rank(features)
        return list(await asyncio.gather(*(live(row, one) for row, one in zip(tested.rows, rankings, strict=True))))

    assert recorded == asyncio.run(every())
    assert {len(one.asked) for one in recorded} != set()


def test_results_hold_each_question_once_and_count_calls(table: Table, embedder: Any) -> None:
    what = trial(table, embedder.features(table.questions))
    targets = targets_of([1, 2], [2.0])
    results, decisions = recorded_results(what, targets, {"coins": 1.0, "words": 1.0, "weak": 1.0})
    assert [(one.k, one.aggregator) for one in results] == list(targets)
    assert results[0].unique_experts == results[0].cost == 2.0
    by_need = results[-1]
    assert [one.id for one in decisions] == list(table.ids)
    assert sum(len(one.asked) for one in decisions) / 60 == pytest.approx(by_need.unique_experts)
    assert sum(one.score for one in decisions) / 60 == pytest.approx(by_need.accuracy.value)
    assert all(one.stopped for one in decisions)


def test_the_expected_gain_is_that_of_the_votes_on_which_the_rule_was_fitted(table: Table, embedder: Any) -> None:
    features = embedder.features(table.questions)
    mixture = dataclasses.replace(fit_features(table, features, FittingOptions(router="knn"), "groups"), need=NEED)
    (decided,) = decisions_of(mixture, table, features, [RecruitTarget(calls=3.0)])
    rows = np.arange(len(table.rows))
    ballot = ballot_of(table, Ballots(table, recorded_answer), mixture.router.score(features), mixture.shared, rows)
    votes = prefixes(ballot, mixture.odds)
    for row, one in enumerate(decided):
        for place, gain in enumerate(one.gains):
            expected = NEED.gain(0, place + 1, votes.share[row, place], votes.second[row, place])
            assert gain == pytest.approx(expected, abs=1e-5)
