"""A small world for routers: three kinds of questions, as directions in space, and experts that know one each."""

from __future__ import annotations

import numpy as np
import pytest

from router import Features, Row, Table

KINDS = ("algebra", "botany", "chess")
EXPERTS = ("algebraist", "botanist", "grandmaster", "amateur")


def world(n: int, seed: int, noise: float = 0.25) -> tuple[Table, Features]:
    """n questions; each specialist is right at .9 in its kind and at .2 elsewhere, the amateur at .4 anywhere."""
    rng = np.random.default_rng(seed)
    centres = np.eye(len(KINDS), 16, dtype=np.float32)
    kinds = rng.integers(0, len(KINDS), n)
    vectors = centres[kinds] + noise * rng.standard_normal((n, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = []
    for index, kind in enumerate(kinds):
        chance = [0.9 if expert == kind else 0.2 for expert in range(len(KINDS))] + [0.4]
        right = rng.random(len(EXPERTS)) < chance
        rows.append(
            Row(
                id=f"q{seed}-{index}",
                question=f"question {seed}.{index} of {KINDS[kind]}",
                correct={name: float(score) for name, score in zip(EXPERTS, right, strict=True)},
                predictions={
                    name: "A" if score else str(rng.choice(["B", "C", "D"]))
                    for name, score in zip(EXPERTS, right, strict=True)
                },
                answer="A",
                skills=(KINDS[kind],),
            )
        )
    tags = {kind: centres[index] for index, kind in enumerate(KINDS)}
    return Table.from_rows(rows), Features(vectors, tuple(row.skills for row in rows), tags)


@pytest.fixture(scope="session")
def fitted() -> tuple[Table, Features]:
    return world(300, seed=0)


@pytest.fixture(scope="session")
def unseen() -> tuple[Table, Features]:
    return world(400, seed=1)
