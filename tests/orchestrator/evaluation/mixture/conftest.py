"""A small profile whose questions fall into two groups, and an embedder that tells them apart."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from orchestrator.evaluation.mixture.need import NeedRule
from router.embedding import Features
from router.row import Row
from router.table import Table

EXPERTS = ("coins", "words", "weak")
NEED = NeedRule(
    np.array([0.1]), np.array([[[0.2, 0.0, 0.0, 0.0], [0.9, -1.0, 0.0, 0.0]]]), np.array([2.5]), np.ones(1), np.ones(1)
)
"""A second expert is always asked, a third where the leading answer has less than 0.8; 2.5 calls on average."""


class Groups:
    """Questions about coins lie one way, all others another way; wandering off a little by their length."""

    identity = "groups"

    def features(self, texts: Any, skills: Any = ()) -> Features:
        rows = [[1.0, 0.0, 0.1] if "coin" in text else [0.0, 1.0, 0.1 * (len(text) % 3)] for text in texts]
        vectors = np.array([[0, 0, -1] if "strange" in t else r for t, r in zip(texts, rows, strict=True)], np.float32)
        return Features(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

    def asked(self, questions: Any, before: Any) -> Features:
        return self.features(questions)


@pytest.fixture
def embedder() -> Groups:
    return Groups()


def rows(count: int, seed: int = 0) -> list[Row]:
    draw, found = random.Random(seed), []
    for number in range(count):
        topic = ("coin", "word")[number % 2]
        gold = draw.choice("abcd")
        chances = {"coins": 0.9 if topic == "coin" else 0.3, "words": 0.9 if topic == "word" else 0.3, "weak": 0.25}
        given = {n: gold if draw.random() < p else draw.choice("abcd") for n, p in chances.items()}
        right = {name: float(answer == gold) for name, answer in given.items()}
        row = Row(f"q{number}", f"Which {topic} is {number}?", right, answer=gold, predictions=dict(given))
        found.append(row)
    return found


@pytest.fixture
def table() -> Table:
    return Table.from_rows(rows(60), EXPERTS)
