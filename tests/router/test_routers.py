"""What every router promises, and what each one adds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from router import Features, Row, Table
from router.routers import (
    ROUTERS,
    BestRouter,
    FactorisationRouter,
    FittedRouter,
    KmeansRouter,
    LogisticRouter,
    SkillsRouter,
    fit,
    maker,
)

World = tuple[Table, Features]


def top_accuracy(router: FittedRouter, world: World) -> float:
    table, questions = world
    first = router.score(questions).order()[:, 0]
    return float(np.nanmean(table.correct[np.arange(len(first)), first]))


@pytest.mark.parametrize("name", ROUTERS)
class TestEveryRouter:
    def test_ranks_all_experts_of_each_question_best_first(self, name: str, fitted: World, unseen: World) -> None:
        router = fit(name, *fitted)
        scores = router.score(unseen[1])
        ranked = router.rank(unseen[1])
        assert len(ranked) == len(unseen[1])
        assert scores.values.shape == scores.probabilities.shape == (len(ranked), 4)
        assert scores.values.dtype == scores.probabilities.dtype == np.float32
        assert ((scores.probabilities >= 0) & (scores.probabilities <= 1)).all()
        for ranking in ranked:
            assert sorted(ranking.experts) == sorted(fitted[0].experts)
            assert [e.score for e in ranking.entries] == sorted((e.score for e in ranking.entries), reverse=True)
            assert ranking.top(2) == ranking.experts[:2]
            assert ranking.entries[0].terms
            assert ranking.entries[0].note is None

    def test_saved_router_ranks_alike(self, name: str, fitted: World, unseen: World, tmp_path: Path) -> None:
        router = fit(name, *fitted)
        router.save(tmp_path / "router")
        assert FittedRouter.load(tmp_path / "router").rank(unseen[1]) == router.rank(unseen[1])
        assert sorted(path.name for path in (tmp_path / "router").iterdir()) == ["router.json", "router.safetensors"]

    def test_question_by_question_equals_all_at_once(self, name: str, fitted: World, unseen: World) -> None:
        router = fit(name, *fitted)
        together = router.score(unseen[1]).values[:5]
        apart = np.concatenate([router.score(unseen[1].take([index])).values for index in range(5)])
        np.testing.assert_allclose(apart, together, rtol=1e-4, atol=1e-6)

    def test_repeats_are_never_fitted(self, name: str, fitted: World, unseen: World) -> None:
        table, questions = fitted
        wrong = [
            Row(f"r{row.id}", row.question, dict.fromkeys(row.correct, 1.0), extra={"repeat": True})
            for row in table.rows
        ]
        doubled = Table.from_rows([*table.rows, *wrong])
        twice = questions.take([*range(len(questions)), *range(len(questions))])
        np.testing.assert_array_equal(
            fit(name, doubled, twice).score(unseen[1]).values, fit(name, table, questions).score(unseen[1]).values
        )

    def test_new_expert_is_ranked_by_the_prior_and_said_so(self, name: str, fitted: World, unseen: World) -> None:
        table, questions = fitted
        router = fit(name, table.add_experts(["newcomer"]), questions)
        mean = float(np.mean(table.correct))
        for ranking in router.rank(unseen[1].take(range(20))):
            notes = {entry.expert: entry.note for entry in ranking.entries if entry.note}
            assert list(notes) == ["newcomer"]
            assert "no profile" in notes["newcomer"]
            assert ranking.probability("newcomer") == pytest.approx(mean, abs=0.02)

    def test_missing_scores_are_not_wrong_answers(self, name: str, fitted: World, unseen: World) -> None:
        table, questions = fitted
        sparse = Table.from_rows(
            [
                Row(row.id, row.question, {n: s for n, s in row.correct.items() if n != "amateur" or i % 3 == 0})
                for i, row in enumerate(table.rows)
            ],
            table.experts,
        )
        probability = fit(name, sparse, questions).score(unseen[1]).probabilities[:, 3].mean()
        assert probability == pytest.approx(0.4, abs=0.1)

    def test_embeddings_of_another_number_are_refused(self, name: str, fitted: World) -> None:
        with pytest.raises(ValueError, match="10 embedded questions for a table of 300 rows"):
            fit(name, fitted[0], fitted[1].take(range(10)))


def test_question_aware_routers_find_the_specialists(fitted: World, unseen: World) -> None:
    best = top_accuracy(BestRouter.fit(*fitted), unseen)
    assert best < 0.5
    for name in ROUTERS:
        if name not in ("best", "random"):
            assert top_accuracy(fit(name, *fitted), unseen) > 0.85, name


def test_the_seed_is_all_that_is_random(fitted: World, unseen: World) -> None:
    for name in ROUTERS:
        first, again = (fit(name, *fitted, seed=3).score(unseen[1]).values for _ in range(2))
        np.testing.assert_array_equal(first, again)


def test_one_expert_one_kind_of_outcome_and_fractions_can_be_fitted(fitted: World) -> None:
    table, questions = fitted
    alone = table.select_experts(["botanist"])
    perfect = Table.from_rows([Row(row.id, row.question, {"a": 1.0, "b": 0.0, "c": 0.25}) for row in table.rows])
    for name in ROUTERS:
        assert fit(name, alone, questions).rank(questions.take([0]))[0].experts == ("botanist",)
        probabilities = fit(name, perfect, questions).score(questions).probabilities.mean(0)
        np.testing.assert_allclose(probabilities, [1, 0, 0.25], atol=0.06, err_msg=name)


def test_two_questions_are_enough_to_fit(fitted: World) -> None:
    table, questions = fitted
    for name in ROUTERS:
        ranked = fit(name, table.take([0, 1]), questions.take([0, 1])).rank(questions)
        assert len(ranked) == len(questions)


@pytest.mark.parametrize("name", [name for name in ROUTERS if name != "skills"])
def test_two_questions_make_nobody_certain(name: str, fitted: World) -> None:
    """A Beta prior: two right answers are 3 of 4 at most, or thereabouts."""
    rows = [Row(str(n), f"q{n}", {"a": 1.0, "b": 0.0}) for n in range(2)]
    vectors = Features(np.eye(2, 16, dtype=np.float32))
    chances = fit(name, Table.from_rows(rows), vectors).score(fitted[1]).probabilities
    assert chances.max() <= 0.85
    assert chances.min() >= 0.15


def test_unknown_router_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"no router 'knnn'; there are best, random, knn"):
        maker("knnn")


def test_settings_without_sense_are_refused(fitted: World) -> None:
    for kind, bad in (
        (KmeansRouter, {"clusters": 0}),
        (LogisticRouter, {"strength": 0.0}),
        (FactorisationRouter, {"rank": 0}),
        (SkillsRouter, {"suitability": "guess"}),
        (SkillsRouter, {"shrinkage": -1.0}),
    ):
        with pytest.raises(ValueError):
            kind.fit(*fitted, **bad)


def test_ranking_refuses_k_below_one(fitted: World) -> None:
    ranking = BestRouter.fit(*fitted).rank(fitted[1].take([0]))[0]
    with pytest.raises(ValueError, match="at least 1"):
        ranking.top(0)
    with pytest.raises(KeyError):
        ranking.probability("nobody")
