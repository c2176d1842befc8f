"""Symbolic-MoE's arithmetic by hand, matching, merging, fallback."""

from __future__ import annotations

import numpy as np
import pytest

from router import Features, Row, Table
from router.routers import SkillsRouter

UNIT = np.eye(8, dtype=np.float32)
NEAR_ALGEBRA = (0.95 * UNIT[0] + np.sqrt(1 - 0.95**2) * UNIT[5]).astype(np.float32)
LIKE_ALGEBRA = (0.7 * UNIT[0] + np.sqrt(1 - 0.7**2) * UNIT[6]).astype(np.float32)
VECTORS = {
    "algebra": UNIT[0],
    "botany": UNIT[1],
    "algebraic": NEAR_ALGEBRA,
    "equations": LIKE_ALGEBRA,
    "cooking": UNIT[7],
}


def features(*skills: tuple[str, ...]) -> Features:
    return Features(np.tile(UNIT[4], (len(skills), 1)), skills, VECTORS)


def small() -> tuple[Table, Features]:
    """a: algebra 3 of 4, botany 0 of 2; b: algebra 1 of 4, botany 2 of 2."""
    skills = [("algebra",), ("algebra",), ("algebra",), ("algebraic",), ("botany",), ("botany",)]
    a, b = [1, 1, 1, 0, 0, 0], [0, 0, 1, 0, 1, 1]
    rows = [Row(str(i), f"q{i}", {"a": x, "b": y}) for i, (x, y) in enumerate(zip(a, b, strict=True))]
    return Table.from_rows(rows), features(*skills)


def test_profile_counts_right_and_asked_per_merged_skill() -> None:
    router = SkillsRouter.fit(*small())
    assert router.vocabulary == ("algebra", "botany", "algebraic")
    assert router.group.tolist() == [0, 1, 0]
    assert router.right.tolist() == [[3, 1], [0, 2]]
    assert router.asked.tolist() == [[4, 4], [2, 2]]
    assert len(SkillsRouter.fit(*small(), merge=0.99).right) == 3


def test_shrunk_suitability_by_hand() -> None:
    router = SkillsRouter.fit(*small(), shrinkage=4.0)
    mean = router.prior.mean
    scores = router.score(features(("algebra",), ("botany",)))
    expected = [[(3 + 4 * mean[0]) / 8, (1 + 4 * mean[1]) / 8], [(4 * mean[0]) / 6, (2 + 4 * mean[1]) / 6]]
    np.testing.assert_allclose(scores.values, expected, rtol=1e-5)
    assert scores.order()[:, 0].tolist() == [0, 1]


def test_paper_suitability_by_hand() -> None:
    """Profiles: a algebra +2 botany -2, b algebra -2 botany +2, so G = (0, 0): gamma is even then."""
    scores = SkillsRouter.fit(*small(), suitability="paper").score(features(("algebra",)))
    np.testing.assert_allclose(scores.values, [[1, -1]])
    table, questions = small()
    only = [0, 1, 2, 3]
    scores = SkillsRouter.fit(table.take(only), questions.take(only), suitability="paper").score(features(("algebra",)))
    # a +2, b -2: G = (2, -2), again without a sum; drop b's wrong ones and G = (2, 1).
    np.testing.assert_allclose(scores.terms["global"], [0.5, 0.5])
    rows = [Row("0", "x", {"a": 1, "b": 1}), Row("1", "y", {"a": 1})]
    scores = SkillsRouter.fit(Table.from_rows(rows), features(("algebra",), ("algebra",)), suitability="paper").score(
        features(("algebra",))
    )
    np.testing.assert_allclose(scores.terms["global"], [2 / 3, 1 / 3], rtol=1e-6)
    np.testing.assert_allclose(scores.values, [[2 * 2 / 3, 1 / 3]], rtol=1e-6)


def signed(expert: str, algebra: int, botany: int) -> list[tuple[str, str, float]]:
    """Outcomes of an expert whose sum of +1 and -1 is `algebra` in one skill and `botany` in the other."""
    named = (("algebra", algebra), ("botany", botany))
    return [(skill, expert, float(total > 0)) for skill, total in named for _ in range(abs(total))]


def ranked_first(suitability: str, *outcomes: list[tuple[str, str, float]]) -> list[str]:
    cells = [cell for expert in outcomes for cell in expert]
    rows = [Row(str(n), f"q{n}", {expert: score}) for n, (_, expert, score) in enumerate(cells)]
    questions = features(*((skill,) for skill, _, _ in cells))
    router = SkillsRouter.fit(Table.from_rows(rows), questions, suitability=suitability)  # type: ignore[arg-type]
    (ranking,) = router.rank(features(("algebra",)))
    return list(ranking.experts)


@pytest.mark.parametrize("suitability", ["paper", "code"])
def test_competencies_below_zero_do_not_turn_the_ranking_round(suitability: str) -> None:
    """G = (10, -4, -8) and S = (5, 1, -3): the paper's gamma is (-5, 2, 4), which would put the best expert last."""
    mixed = [signed("a", 5, 5), signed("b", 1, -5), signed("c", -3, -5)]
    assert ranked_first(suitability, *mixed) == ["a", "b", "c"]
    below = [signed("a", -1, -1), signed("b", -2, -2), signed("c", -3, -5)]
    assert ranked_first(suitability, *below) == ["a", "b", "c"]


def test_the_codes_shift_leaves_nobody_without_weight() -> None:
    """All S <= 0: the authors add 1 after shifting, so that the least suitable keeps a chance."""
    rows = [Row("0", "x", {"a": 0, "b": 0}), Row("1", "y", {"b": 0})]
    tags = features(("algebra",), ("algebra",))
    router = SkillsRouter.fit(Table.from_rows(rows), tags, suitability="code")
    scores = router.score(features(("algebra",)))
    np.testing.assert_allclose(scores.terms["local"], [[2, 1]])
    assert (scores.values > 0).all()


def test_code_suitability_by_hand() -> None:
    """G = (0, 0) is not below 0: gamma is 0 and the choice even; with G = (2, -2) the shift gives (5, 1)."""
    table, questions = small()
    np.testing.assert_allclose(SkillsRouter.fit(table, questions, suitability="code").score(questions).values, 0.5)
    only = [0, 1, 2, 3]
    router = SkillsRouter.fit(table.take(only), questions.take(only), suitability="code")
    scores = router.score(features(("algebra",)))
    np.testing.assert_allclose(scores.terms["global"], [25 / 6, 1 / 6], rtol=1e-6)
    np.testing.assert_allclose(scores.values, [[1, 0]])


def test_a_new_tag_is_matched_by_meaning_above_the_threshold() -> None:
    router = SkillsRouter.fit(*small(), threshold=0.6)
    known, alike = router.score(features(("algebra",), ("equations",))).values
    np.testing.assert_array_equal(known, alike)
    (item,) = router.rank(features(("equations",)))[0].evidence
    assert (item.kind, item.label, item.source) == ("skill", "algebra", "equations")
    assert item.weight == pytest.approx(0.7, abs=1e-6)
    strict = SkillsRouter.fit(*small(), threshold=0.8)
    assert strict.rank(features(("equations",)))[0].evidence[0].kind == "fallback"


@pytest.mark.parametrize("suitability", ["shrunk", "paper", "code"])
def test_nothing_matched_falls_back_to_the_mean_and_says_so(suitability: str) -> None:
    router = SkillsRouter.fit(*small(), suitability=suitability)
    bare = Features(UNIT[:2])
    for questions in (features(("cooking",)), features(()), bare):
        ranking = router.rank(questions)[0]
        assert [entry.score for entry in ranking.entries] == pytest.approx(sorted(router.prior.mean, reverse=True))
        assert ranking.evidence[0].kind == "fallback"


def test_a_skill_in_two_spellings_counts_once() -> None:
    router = SkillsRouter.fit(*small())
    once, twice = router.score(features(("algebra",), ("algebra", "algebraic"))).values
    np.testing.assert_array_equal(once, twice)


def test_no_skills_and_skills_without_embeddings_are_refused() -> None:
    table, questions = small()
    with pytest.raises(ValueError, match="needs questions with skills"):
        SkillsRouter.fit(table, Features(questions.embeddings))
    with pytest.raises(ValueError, match="the skill 'algebra' has no embedding"):
        SkillsRouter.fit(table, Features(questions.embeddings, questions.skills))
