"""What every router promises, and what each one adds."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from router import Features, Row, Table
from router.routers import (
    ROUTERS,
    BestRouter,
    CalibratedRouter,
    FactorisationRouter,
    FittedRouter,
    KmeansRouter,
    KnnRouter,
    LogisticRouter,
    MixtureRouter,
    MlpRouter,
    PromptVectorRouter,
    RandomRouter,
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


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_calibrated_router_keeps_the_order_and_states_honest_probabilities(
    fitted: World, unseen: World, method: str, tmp_path: Path
) -> None:
    from router.calibration import expected_calibration_error

    sharp = partial(KnnRouter.fit, neighbours=3, shrinkage=0.0)
    router = CalibratedRouter.fit(*fitted, router=sharp, method=method)
    before, after = router.inside.score(unseen[1]), router.score(unseen[1])
    np.testing.assert_array_equal(before.order(), after.order())
    assert expected_calibration_error(after.probabilities, unseen[0].correct) < 0.08
    assert expected_calibration_error(before.probabilities, unseen[0].correct) > 0.1
    router.save(tmp_path)
    np.testing.assert_array_equal(FittedRouter.load(tmp_path).score(unseen[1]).probabilities, after.probabilities)


def test_mixture_trusts_the_member_that_ranks_better(fitted: World, unseen: World) -> None:
    router = MixtureRouter.fit(
        *fitted, members={"random": RandomRouter.fit, "knn": KnnRouter.fit, "mean": BestRouter.fit}
    )
    weight = dict(zip(router.names, router.weights, strict=True))
    assert weight["knn"] > 2 * weight["mean"]
    kinds = {item.kind for item in router.rank(unseen[1].take([0]))[0].evidence}
    assert kinds == {"neighbour"}
    terms = router.rank(unseen[1].take([0]))[0].entries[0].terms
    assert set(terms) == {name for name, value in weight.items() if value > 0}


def test_mixture_needs_members_and_two_questions(fitted: World) -> None:
    with pytest.raises(ValueError, match="at least one member"):
        MixtureRouter.fit(*fitted, members={})
    with pytest.raises(ValueError, match="two different questions"):
        MixtureRouter.fit(fitted[0].take([0]), fitted[1].take([0]), members={"best": BestRouter.fit})


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


def test_linear_terms_add_up(fitted: World, unseen: World) -> None:
    for kind in (PromptVectorRouter, MlpRouter):
        scores = kind.fit(*fitted).score(unseen[1])
        np.testing.assert_allclose(scores.values, scores.terms["mean"] + scores.terms["question"], atol=1e-5)


def test_knn_names_its_neighbours(fitted: World) -> None:
    table, questions = fitted
    ranking = KnnRouter.fit(table, questions).rank(questions.take([17]))[0]
    assert ranking.evidence[0].label == table.ids[17]
    assert ranking.evidence[0].weight == pytest.approx(1, abs=1e-5)
    assert [e.weight for e in ranking.evidence] == sorted((e.weight for e in ranking.evidence), reverse=True)


def test_knn_shrinks_towards_the_mean(fitted: World, unseen: World) -> None:
    loose = KnnRouter.fit(*fitted, neighbours=5, shrinkage=0.0).score(unseen[1])
    tight = KnnRouter.fit(*fitted, neighbours=5, shrinkage=1e6).score(unseen[1])
    np.testing.assert_allclose(tight.values, np.broadcast_to(tight.terms["mean"], tight.values.shape), atol=1e-4)
    np.testing.assert_allclose(loose.values, loose.terms["neighbours"], atol=1e-6)


def test_knn_trusts_neighbours_as_far_as_the_fitted_questions_bear_them_out(fitted: World) -> None:
    table, questions = fitted
    rng = np.random.default_rng(0)
    shuffled = questions.take(rng.permutation(len(questions)))
    told, random = KnnRouter.fit(table, questions), KnnRouter.fit(table, shuffled)
    assert told.shrinkage <= 1 < 10 <= random.shrinkage
    assert KnnRouter.fit(table, questions, shrinkage=7.0).shrinkage == 7


def test_equal_questions_tell_knn_nothing_of_its_settings(fitted: World) -> None:
    table, questions = fitted
    shuffled = questions.take(np.random.default_rng(0).permutation(len(questions)))
    twice = np.tile(np.arange(len(questions)), 2)
    assert KnnRouter.fit(table.take(twice), shuffled.take(twice)).shrinkage >= 10
    same = KnnRouter.fit(table.take([0, 0, 0]), questions.take([0, 0, 0]))
    assert (same.temperature, same.shrinkage) == (0.1, 10)


@pytest.mark.parametrize("bad", [{"neighbours": 0}, {"temperature": 0.0}, {"shrinkage": -1.0}])
def test_knn_refuses_senseless_settings(fitted: World, bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="kNN needs"):
        KnnRouter.fit(*fitted, **bad)


def test_random_depends_on_seed_and_question_alone(fitted: World, unseen: World) -> None:
    first, again, other = (RandomRouter.fit(*fitted, seed=seed).score(unseen[1]).values for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert abs(np.bincount(first.argmax(1), minlength=4) - 100).max() < 40


def test_a_folder_that_holds_no_router_is_refused(fitted: World, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"router\.json"):
        FittedRouter.load(tmp_path)
    router = KnnRouter.fit(*fitted)
    router.save(tmp_path)
    with pytest.raises(ValueError, match="holds a KnnRouter, not a BestRouter"):
        BestRouter.load(tmp_path)
    path = tmp_path / "router.json"
    good = json.loads(path.read_text())
    for change in ({"format": 99}, {"router": {"kind": "os.system", "fields": {}}}, {"router": {"kind": "KnnRouter"}}):
        path.write_text(json.dumps(good | change))
        with pytest.raises(ValueError, match=r"router\.json: not a saved router"):
            FittedRouter.load(tmp_path)
    path.write_text(json.dumps(good))
    arrays = load_file(tmp_path / "router.safetensors")
    save_file(arrays | {"prior.mean": arrays["prior.mean"][:2]}, tmp_path / "router.safetensors")
    with pytest.raises(ValueError, match="prior"):
        FittedRouter.load(tmp_path)


def test_ranking_refuses_k_below_one(fitted: World) -> None:
    ranking = BestRouter.fit(*fitted).rank(fitted[1].take([0]))[0]
    with pytest.raises(ValueError, match="at least 1"):
        ranking.top(0)
    with pytest.raises(KeyError):
        ranking.probability("nobody")
