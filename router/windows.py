"""Long texts in windows that an encoder can read whole, and one vector made of the windows' vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MAX_WINDOWS = 8
"""Of one text; a longer text gives its first and last ones."""
LAST_SHARE = 0.5
"""Share of the last window in the vector of several: what is asked stands at the end, behind its material."""
LAST_TOKENS = 96
"""Most tokens of the last window, unless its last paragraph is longer: more would be material again."""


def windows(text: str, spans: Sequence[tuple[int, int]], limit: int) -> list[str]:
    """The text in consecutive windows of at most `limit` tokens, at most `MAX_WINDOWS` of them.

    `spans`: each token's (start, end) in characters. A text that fits is one window. The last window is the last
    paragraph, or the last `LAST_TOKENS` tokens where the last paragraph is longer than that.
    """
    if len(spans) <= limit:
        return [text]
    paragraph = text.rstrip().rfind("\n") + 1
    size = sum(start >= paragraph for start, _ in spans)
    size = min(size if 0 < size <= LAST_TOKENS else LAST_TOKENS, limit)
    cut = len(spans) - size
    ends = [*range(limit, cut, limit), cut, len(spans)]
    starts = [0, *ends[:-1]]
    found = [text[spans[start][0] : spans[end - 1][1]] for start, end in zip(starts, ends, strict=True)]
    half = MAX_WINDOWS // 2
    return found if len(found) <= MAX_WINDOWS else [*found[:half], *found[-half:]]


def pooled(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """One unit vector, float32 [dimensions], from the unit vectors of a text's windows, [windows, dimensions]."""
    if len(vectors) == 1:
        return np.asarray(vectors[0], np.float32)
    together = LAST_SHARE * vectors[-1] + (1 - LAST_SHARE) * vectors[:-1].mean(0)
    length = np.linalg.norm(together)
    return np.asarray(together / length if length > 0 else vectors[-1], np.float32)
