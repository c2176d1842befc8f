"""From a ranking to k experts: the recruiter (Symbolic-MoE, arXiv 2503.05641, section 3.2).

`topk`: the k best, distinct. `paper`: k draws with replacement from a softmax of the scores at temperature 0.5,
then experts with under 5% of all draws are dropped. `code`: k draws with replacement, in proportion to the scores,
as the authors' program does. With replacement an expert may be drawn twice: it then has two votes.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from router.ranking import Scores

RecruitRule = Literal["topk", "paper", "code"]
TEMPERATURE = 0.5
TRIM = 0.05


def recruit(
    scores: Scores, k: int, how: RecruitRule = "topk", *, seed: int = 0, trim: float | None = None
) -> NDArray[np.intp]:
    """Columns of the recruited experts, [questions, k], for all questions of one batch.

    `trim`: experts with less than this share of all draws give theirs to the others of the same question, drawn
    again; None: 0.05 for `paper`, 0 for `code` (whose authors define it and never call it). `topk` ignores it and
    recruits fewer than k if there are fewer experts. Raises ValueError for an unknown rule and for k below 1."""
    if k < 1:
        raise ValueError(f"k must be at least 1, is {k}")
    if how not in get_args(RecruitRule):
        raise ValueError(f"recruiting must be one of {', '.join(get_args(RecruitRule))}, is {how!r}")
    if how == "topk":
        return scores.order()[:, :k]
    chances = _softmax(scores.values) if how == "paper" else _proportional(scores.values)
    rng = np.random.default_rng(seed)
    drawn = _draw(chances, k, rng)
    trim = (TRIM if how == "paper" else 0.0) if trim is None else trim
    share = np.bincount(drawn.ravel(), minlength=chances.shape[1]) / max(drawn.size, 1)
    rare = share < trim
    if rare.any() and not rare.all():
        kept = np.where(rare, 0, chances)
        # A question may have wanted rare experts only: it takes the frequent ones by their share of all draws.
        kept = np.where(kept.sum(1, keepdims=True) > 1e-12, kept, np.where(rare, 0, share))
        again = _draw(kept / kept.sum(1, keepdims=True), k, rng)
        drawn = np.where(rare[drawn], again, drawn)
    return drawn


def _draw(chances: NDArray[np.float64], k: int, rng: np.random.Generator) -> NDArray[np.intp]:
    edges = chances.cumsum(1)
    points = rng.random((len(chances), k)) * edges[:, -1:]
    return np.asarray(np.minimum((points[:, :, None] >= edges[:, None, :]).sum(2), chances.shape[1] - 1))


def _softmax(values: NDArray[np.float32]) -> NDArray[np.float64]:
    logits = values.astype(np.float64) / TEMPERATURE
    weight = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(weight / weight.sum(1, keepdims=True))


def _proportional(values: NDArray[np.float32]) -> NDArray[np.float64]:
    weight = values.astype(np.float64) - np.minimum(values.min(1, keepdims=True), 0)
    total = weight.sum(1, keepdims=True)
    return np.where(total > 0, weight / np.where(total > 0, total, 1), 1 / values.shape[1])
