"""Windows hold whole tokens, within the limit, head and tail of what is very long; pooling favours the last."""

from __future__ import annotations

import re

import numpy as np

from router.windows import LAST_TOKENS, MAX_WINDOWS, pooled, windows


def cut(text: str, limit: int) -> list[str]:
    return windows(text, [match.span() for match in re.finditer(r"\S+", text)], limit)


def test_a_text_that_fits_is_one_window() -> None:
    assert cut("a b c", 3) == ["a b c"]


def test_windows_hold_all_words_once_and_the_last_paragraph_alone() -> None:
    found = cut("\n".join(" ".join(f"w{n}" for n in range(20)) for _ in range(3)) + "\nwhat is asked?", 16)
    assert [word for window in found for word in window.split()] == [f"w{n}" for n in range(20)] * 3 + [
        "what",
        "is",
        "asked?",
    ]
    assert found[-1] == "what is asked?"
    assert all(len(window.split()) <= 16 for window in found)


def test_without_paragraphs_the_last_window_is_the_tail() -> None:
    found = cut(" ".join(f"w{n}" for n in range(1000)), 254)
    assert len(found[-1].split()) == LAST_TOKENS
    assert found[-1].endswith("w999")


def test_a_very_long_text_gives_head_and_tail() -> None:
    found = cut(" ".join(f"w{n}" for n in range(10_000)), 50)
    assert len(found) == MAX_WINDOWS
    assert found[0].startswith("w0 ")
    assert found[-1].endswith("w9999")


def test_half_of_a_pooled_vector_is_the_last_window() -> None:
    found = pooled(np.eye(3, dtype=np.float32))
    np.testing.assert_allclose(found, np.array([0.25, 0.25, 0.5]) / np.linalg.norm([0.25, 0.25, 0.5]), rtol=1e-6)
    np.testing.assert_array_equal(pooled(np.eye(1, 3, dtype=np.float32)), [1, 0, 0])
