"""Loops over bfloat16 numbers."""

from __future__ import annotations

import numpy as np
import pytest

from merging import bfloat16


@pytest.mark.parametrize("rows", [2, 3])
@pytest.mark.parametrize("bad", [0x7F80, 0xFFC1])
def test_inner_products_of_bits_are_those_of_the_numbers(rows: int, bad: int) -> None:
    numbers = np.random.default_rng(rows).standard_normal((rows, 1300), np.float32)
    raw = (numbers.view(np.uint32) >> 16).astype(np.uint16)
    wide = (raw.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    found = np.zeros((rows, rows))
    bfloat16.gram_bf16(raw, False, found)
    np.testing.assert_allclose(found, wide @ wide.T, rtol=1e-6, atol=1e-4)
    raw[1, 1299] = bad
    bfloat16.gram_bf16(raw, False, found)
    assert not np.isfinite(found[1, 1])
    assert np.isfinite(found[0, 0])


def test_numbers_are_rounded_to_the_nearest_ties_to_even() -> None:
    halfway = np.array([0x3F808000, 0x3F818000, 0x3F808001, 0xBF808000, 0x7F7FFFFF, 0x7FC12345], np.uint32)
    bits = np.zeros(6, np.uint16)
    bfloat16.encode_bf16(halfway.view(np.float32), bits)
    assert [hex(each) for each in bits] == ["0x3f80", "0x3f82", "0x3f81", "0xbf80", "0x7f80", "0x7fc0"]


@pytest.mark.parametrize("bad", [0x7F80, 0xFF80, 0x7FC0])
def test_what_is_no_finite_number_is_told(bad: int) -> None:
    raw = np.full((3, 2500), 0x3F80, np.uint16)
    rows = np.zeros(raw.shape, np.float32)
    assert not bfloat16.decode_taus(raw, rows)
    assert not rows[:2].any()
    assert (rows[2] == 1).all()
    assert not bfloat16.decode_bf16(raw[0], rows[0])
    raw[1, 2499] = bad
    assert bfloat16.decode_taus(raw, rows)
    assert bfloat16.decode_bf16(raw[1], rows[1])
    bits = np.zeros(2500, np.uint16)
    assert bfloat16.weighted_sum_bf16(raw, np.ones(3, np.float32), np.ones(1, np.float32), bits)


@pytest.mark.parametrize("divisor", [1.0, 1.3])
def test_a_pair_sums_as_rows_do(divisor: float) -> None:
    rng = np.random.default_rng(3)
    raw = (rng.normal(size=(2, 5001)).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    weights, by = np.array([0.31, 0.77], np.float32), np.array([divisor], np.float32)
    found, wanted = np.zeros((2, 5001), np.uint16)
    assert not bfloat16.weighted_pair(raw[0], raw[1], weights, by, found)
    assert not bfloat16.weighted_sum_bf16(raw, weights, by, wanted)
    np.testing.assert_array_equal(found, wanted)
    raw[1, 5000] = 0x7FC0
    assert bfloat16.weighted_pair(raw[0], raw[1], weights, by, found)
