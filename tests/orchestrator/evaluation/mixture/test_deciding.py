"""One question through the mixture: whom it asks, in what order, and what comes of failures."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orchestrator.evaluation.mixture.deciding import Decision, MixtureReply, decide
from orchestrator.evaluation.mixture.fit import fit_mixture
from orchestrator.evaluation.mixture.options import FittingOptions
from router.table import Table


@pytest.fixture
def through(table: Table, embedder: Any) -> Any:
    fitted = fit_mixture(table, FittingOptions(router="knn"), embedder)
    (ranking,) = fitted.rank(embedder.features(["Which coin is it?"]))

    def run(answers: dict[str, MixtureReply], **options: Any) -> tuple[Decision, list[str]]:
        asked: list[str] = []

        async def ask(name: str) -> MixtureReply:
            asked.append(name)
            return answers[name]

        return asyncio.run(decide(fitted, ranking, ask, options=4.0, **options)), asked

    return run


ALL_REPLY = {"coins": MixtureReply("a"), "words": MixtureReply("b"), "weak": MixtureReply("b")}


def test_the_first_of_the_ranking_are_asked_and_vote(through: Any) -> None:
    decision, asked = through(ALL_REPLY, recruit=2)
    assert asked == ["coins", "words"]
    assert decision.asked == decision.replied == ("coins", "words")
    assert decision.verdict.answer == "a"
    assert decision.stopped == "2 experts per question"


def test_who_fails_is_replaced_by_the_next(through: Any) -> None:
    failing = ALL_REPLY | {"coins": MixtureReply(None, failed=True)}
    decision, asked = through(failing, recruit=2)
    assert asked == ["coins", "words", "weak"]
    assert decision.replied == ("words", "weak")
    assert decision.verdict.answer == "b"
    decision, asked = through(failing, recruit=2, fallbacks=0)
    assert (asked, decision.replied) == (["coins", "words"], ("words",))
    assert decision.stopped == "no further expert replies"


def test_an_order_of_ones_own_is_kept(through: Any) -> None:
    assert through(ALL_REPLY, recruit=1, order=["weak", "coins"])[1] == ["weak"]


def test_nobody_replies(through: Any) -> None:
    decision, _ = through(dict.fromkeys(ALL_REPLY, MixtureReply(None, failed=True)), recruit=3)
    assert decision.replied == ()
    assert decision.verdict.answer is None
