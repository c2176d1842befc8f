"""How often experts err alike: what their agreement is worth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PRIOR = 20.0
"""Shared failures that the mean of all pairs counts for, in the share of one pair."""
HIGHEST = 0.95
"""Two experts are never taken for one."""
LEAST = 0.05
"""Smallest eigenvalue of the matrix, so that every group of experts has an inverse."""


def shared_errors(codes: NDArray[np.intp], gold: NDArray[np.intp]) -> Floats:
    """Share of the questions that two experts both got wrong on which they gave the same wrong answer, [experts,
    experts], shrunk towards the mean of all pairs; 1 on the diagonal, positive definite.

    `codes` [questions, experts]: number of each answer among its question's different ones, -1 for none; `gold`
    [questions]: number of the right one, -1 for unknown: such a question says nothing.
    """
    experts = codes.shape[1]
    known = gold >= 0
    codes, gold = codes[known], gold[known]
    wrong = (codes >= 0) & (codes != gold[:, None])
    mass = wrong.astype(np.float64)
    both = mass.T @ mass
    alike = np.zeros((experts, experts))
    for answer in range(int(codes.max(initial=-1)) + 1):
        gave = (wrong & (codes == answer)).astype(np.float64)
        alike += gave.T @ gave
    pairs = ~np.eye(experts, dtype=bool)
    seen = both[pairs].sum()
    mean = float(alike[pairs].sum() / seen) if seen else 0.0
    shares = np.minimum((alike + PRIOR * mean) / (both + PRIOR), HIGHEST)
    np.fill_diagonal(shares, 1.0)
    return _definite(shares)


def _definite(matrix: Floats) -> Floats:
    """The matrix with eigenvalues of at least `LEAST`, scaled to 1 on the diagonal."""
    values, vectors = np.linalg.eigh(matrix)
    if values.min() >= LEAST:
        return matrix
    raised = (vectors * np.maximum(values, LEAST)) @ vectors.T
    scale = np.sqrt(np.diag(raised))
    return np.asarray(raised / np.outer(scale, scale))
