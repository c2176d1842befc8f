"""One function fits: what its version depends on, and what it fits on."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from agents.votes import AT_THEIR_WORD
from orchestrator.errors import BadInput
from orchestrator.evaluation.mixture.fit import fit_mixture, for_experts, version_of
from orchestrator.evaluation.mixture.options import FittingOptions
from router.row import Row
from router.table import Table

KNN = FittingOptions(router="knn")


def test_the_version_is_of_everything_that_was_fitted_on(table: Table) -> None:
    version = version_of(table, KNN, "groups")
    assert version == version_of(Table.from_rows(list(table.rows), table.experts), KNN, "groups")
    judged = Row("feedback-1", "Which coin?", {"weak": 1.0}, extra={"feedback": True})
    others = {
        "a verdict": version_of(Table.from_rows([*table.rows, judged], table.experts), KNN, "groups"),
        "an answer": version_of(
            Table.from_rows([dataclasses.replace(table.rows[0], answer="z"), *table.rows[1:]], table.experts),
            KNN,
            "groups",
        ),
        "experts": version_of(table.select_experts(["words", "coins", "weak"]), KNN, "groups"),
        "router": version_of(table, FittingOptions(router="best"), "groups"),
        "embedding": version_of(table, KNN, "another"),
    }
    assert len({version, *others.values()}) == 6


def test_router_and_votes_come_from_one_table(table: Table, embedder: Any) -> None:
    fitted = fit_mixture(table, KNN, embedder)
    coin, word = fitted.rank(embedder.features(["Which coin is it?", "Which word is it?"]))
    assert (coin.experts[0], word.experts[0]) == ("coins", "words")
    assert fitted.odds != AT_THEIR_WORD
    assert fitted.need is not None
    assert (fitted.origin.questions, fitted.origin.feedback, fitted.origin.router) == (60, 0, "knn")


def test_few_questions_and_no_answers_leave_votes_uncorrected(table: Table, embedder: Any) -> None:
    assert fit_mixture(table.take([0, 1]), KNN, embedder).odds == AT_THEIR_WORD
    bare = Table.from_rows([dataclasses.replace(row, predictions={}) for row in table.rows], table.experts)
    assert fit_mixture(bare, KNN, embedder).odds == AT_THEIR_WORD


def test_experts_that_the_table_does_not_know_are_ranked_by_the_prior(table: Table, embedder: Any) -> None:
    more = for_experts(table, ["new", "coins", "words"])
    assert set(fit_mixture(more, KNN, embedder).experts) == {"new", "coins", "words"}
    with pytest.raises(BadInput, match="the table knows none of nobody"):
        for_experts(table, ["nobody"])
