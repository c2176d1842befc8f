"""How often two experts err alike, from who answered what."""

from __future__ import annotations

import numpy as np
import pytest

from router.agreement import HIGHEST, LEAST, PRIOR, shared_errors


def world(count: int) -> tuple[np.ndarray, np.ndarray]:
    """a and b give the same answer always, c another one; gold is 0, on every fourth question all are right."""
    rng = np.random.default_rng(0)
    first = rng.integers(1, 6, count)
    codes = np.stack([first, first, rng.integers(1, 6, count)], 1)
    codes[::4] = 0
    return codes, np.zeros(count, np.intp)


def test_who_errs_alike_stands_out_and_right_answers_do_not_count() -> None:
    codes, gold = world(400)
    shares = shared_errors(codes, gold)
    assert shares[0, 1] > 0.85
    assert shares[0, 2] < 0.35
    np.testing.assert_allclose(np.diag(shares), 1.0)
    np.testing.assert_allclose(shares, shares.T)
    np.testing.assert_allclose(shared_errors(codes[1::4], gold[1::4])[0, 2], shares[0, 2], atol=0.2)


def test_few_shared_failures_are_shrunk_towards_the_mean_of_all_pairs() -> None:
    codes = np.array([[1, 1, 2], [0, 1, 2], [0, 1, 2]])
    gold = np.zeros(3, np.intp)
    mean = 1 / 5  # pairs both wrong: ab 1, ac 1, bc 3; alike: ab 1
    expected = (1 + PRIOR * mean) / (1 + PRIOR)
    assert shared_errors(codes, gold)[0, 1] == pytest.approx(expected)


def test_every_group_of_experts_has_an_inverse() -> None:
    codes, gold = world(400)
    shares = shared_errors(np.concatenate([codes, codes[:, :2]], 1), gold)
    assert shares.max() <= 1.0
    assert np.linalg.eigvalsh(shares).min() >= LEAST / 2
    assert shares[0, 3] <= HIGHEST + 1e-9


def test_nothing_known_makes_experts_independent() -> None:
    np.testing.assert_array_equal(shared_errors(np.full((4, 2), -1), np.full(4, -1)), np.eye(2))
