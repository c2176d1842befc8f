"""Skills: which experts are good at what a question needs (Symbolic-MoE, arXiv 2503.05641, section 3).

A profile counts, for each skill named by the fitted questions, how each expert did on the questions that need it.
A new question's skills are matched with the profile's by their embeddings; the experts' records in the matched
skills (local suitability) and over all (global competency) give the score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from router.embedding import Features
from router.ranking import Evidence, Scores
from router.routers.fitted import Array, FittedRouter, Prior, fitting_rows, known_scores
from router.table import Table

Suitability = Literal["shrunk", "paper", "code"]


@dataclass(frozen=True)
class SkillsRouter(FittedRouter):
    """Ranks by a profile of skills. `suitability` says how a score is made:

    `shrunk` (default): accuracy over the matched skills' questions, shrunk towards the expert's mean.
    `paper`: local S = sum of +1 and -1 over the matched skills; global gamma = G / sum of G, G the sum over all
    skills; score = gamma * S. Where an expert has G < 0, which the paper does not foresee, G is shifted above 0 as in
    `code`, and S < 0 weighs less the greater gamma is, so that competence never counts against an expert.
    `code`: as the authors' program: G shifted above 0 if need be, gamma = G^2 / sum of G; S <= 0 counts as 0
    unless all are, then S is shifted above 0; score = S * gamma.
    Where no skill matches, the mean decides, and the evidence says so.
    """

    vocabulary: tuple[str, ...]
    vectors: Array
    """[vocabulary, dimensions]"""
    group: NDArray[np.int64]
    """[vocabulary], the skill of which each word is a spelling"""
    right: Array
    """[skills, experts], sum of scores"""
    asked: Array
    """[skills, experts], questions"""
    suitability: str
    threshold: float
    shrinkage: float

    @classmethod
    def fit(
        cls,
        table: Table,
        questions: Features,
        *,
        suitability: Suitability = "shrunk",
        threshold: float = 0.5,
        merge: float = 0.9,
        shrinkage: float = 20.0,
    ) -> Self:
        """Count. `threshold`: least cosine for a match; `merge`: cosine from which two skills are one.

        Raises ValueError if no question has a skill, or skills came without embeddings.
        """
        if suitability not in get_args(Suitability):
            raise ValueError(f"suitability must be one of {get_args(Suitability)}, is {suitability!r}")
        if shrinkage < 0:
            raise ValueError(f"shrinkage must be at least 0, is {shrinkage}")
        table, questions = fitting_rows(table, questions)
        frequency: dict[str, int] = {}
        for row in questions.skills:
            for skill in row:
                frequency[skill] = frequency.get(skill, 0) + 1
        if not frequency:
            raise ValueError("the skill router needs questions with skills: tag them, or use another router")
        vocabulary = sorted(frequency, key=lambda skill: (-frequency[skill], skill))
        vectors = _vectors(vocabulary, questions.skill_embeddings)
        group = _spellings(vectors, merge)
        place = dict(zip(vocabulary, group.tolist(), strict=True))
        score, known = known_scores(table.correct)
        needs = _needs(questions.skills, place, int(group.max()) + 1)
        return cls(
            table.experts,
            Prior.of(table.correct),
            tuple(vocabulary),
            vectors,
            group,
            needs.T @ score,
            needs.T @ known,
            suitability,
            threshold,
            shrinkage,
        )

    def score(self, questions: Features) -> Scores:
        """Terms: local suitability (accuracy, or sum of +1 and -1), global competency, skills matched."""
        matched = self._matches(questions)
        place = {skill: int(self.group[word]) for skill, (word, _) in matched.items()}
        distinct = {row: index for index, row in enumerate(dict.fromkeys(self._rows(questions)))}
        which = np.array([distinct[row] for row in self._rows(questions)], np.intp)
        needs = _needs(tuple(distinct), place, len(self.right))
        right, asked = needs @ self.right, needs @ self.asked
        any_match = needs.any(1, keepdims=True)
        mean = self.prior.mean
        mass = asked + self.shrinkage
        shrunk = np.where(mass > 0, (right + self.shrinkage * mean) / np.maximum(mass, 1e-9), mean)
        if self.suitability == "shrunk":
            values = shrunk
            local = np.where(asked > 0, right / np.maximum(asked, 1e-9), mean)
            overall = mean
        else:
            signed = 2 * right - asked
            competency = (2 * self.right - self.asked).sum(0)
            make = _paper if self.suitability == "paper" else _code
            values, local, overall = make(signed, competency)
            values = np.where(any_match, values, mean)
        terms = {"local": local[which], "global": overall, "skills": needs.sum(1, keepdims=True)[which]}
        return Scores(self.experts, values[which].astype(np.float32), shrunk[which], terms)

    def evidence(self, questions: Features) -> list[tuple[Evidence, ...]]:
        """Each matched skill, what the question called it, and their similarity; or that nothing matched."""
        matched = self._matches(questions)
        found = []
        for row in self._rows(questions):
            known = [(skill, *matched[skill]) for skill in row if skill in matched]
            reasons = [Evidence("skill", self.vocabulary[w], near, skill) for skill, w, near in known]
            found.append(tuple(reasons) or (Evidence("fallback", "no skill matches: ranked by the mean", 0.0),))
        return found

    def _rows(self, questions: Features) -> tuple[tuple[str, ...], ...]:
        return questions.skills or ((),) * len(questions)

    def _matches(self, questions: Features) -> dict[str, tuple[int, float]]:
        """Skill of the questions -> (nearest word, cosine), for those at least as near as the threshold."""
        words = {word: index for index, word in enumerate(self.vocabulary)}
        wanted = dict.fromkeys(skill for row in questions.skills for skill in row)
        matched = {skill: (words[skill], 1.0) for skill in wanted if skill in words}
        others = [skill for skill in wanted if skill not in words]
        if others:
            similarity = _vectors(others, questions.skill_embeddings) @ self.vectors.T
            for skill, row in zip(others, similarity, strict=True):
                if row.max() >= self.threshold:
                    matched[skill] = (int(row.argmax()), float(row.max()))
        return matched


def _vectors(skills: Sequence[str], vectors: Mapping[str, Array]) -> Array:
    missing = next((skill for skill in skills if skill not in vectors), None)
    if missing is not None:
        raise ValueError(f"the skill {missing!r} has no embedding: make features with Embedder.features")
    return np.stack([vectors[skill] for skill in skills])


def _spellings(vectors: Array, merge: float) -> NDArray[np.int64]:
    """Number of the skill each word belongs to: the most frequent earlier one that is near enough, or its own."""
    similarity = vectors @ vectors.T
    heads: list[int] = []
    group = np.empty(len(vectors), np.int64)
    for word in range(len(vectors)):
        near = [number for number, head in enumerate(heads) if similarity[word, head] >= merge]
        if not near:
            heads.append(word)
        group[word] = near[0] if near else len(heads) - 1
    return group


def _needs(rows: Sequence[Sequence[str]], place: Mapping[str, int], skills: int) -> Array:
    """[rows, skills], 1 where a row names a skill in any spelling."""
    needs = np.zeros((len(rows), skills), np.float32)
    for index, row in enumerate(rows):
        for skill in row:
            if skill in place:
                needs[index, place[skill]] = 1
    return needs


def _paper(signed: Array, competency: Array) -> tuple[Array, Array, Array]:
    even = np.full_like(competency, 1 / len(competency))
    positive = competency if competency.sum() == 0 else _shifted(competency)
    gamma = positive / positive.sum() if positive.sum() != 0 else even
    below = gamma if positive is competency else gamma.max() + gamma.min() - gamma
    return np.where(signed < 0, below, gamma) * signed, signed, gamma


def _code(signed: Array, competency: Array) -> tuple[Array, Array, Array]:
    positive = _shifted(competency)
    gamma = positive**2 / max(float(positive.sum()), 1e-9)
    shifted = signed - signed.min(1, keepdims=True) + 1
    local = np.where((signed > 0).any(1, keepdims=True), np.maximum(signed, 0), shifted)
    weight = local * gamma
    total = weight.sum(1, keepdims=True)
    return np.where(total > 0, weight / np.maximum(total, 1e-9), 1 / len(competency)), local, gamma


def _shifted(competency: Array) -> Array:
    """As it is where nobody is below 0; else such that the least is 1."""
    return competency - competency.min() + 1 if competency.min() < 0 else competency
