"""Item response theory: who is able."""

from __future__ import annotations

import numpy as np

from router import Features, Table
from router.routers import fit


def test_a_router_by_item_response_learns_who_is_able(
    fitted: tuple[Table, Features], unseen: tuple[Table, Features]
) -> None:
    chosen = fit("item_response", *fitted).score(unseen[1]).values.argmax(1)
    best = fit("best", *fitted).score(unseen[1]).values.argmax(1)
    right = unseen[0].correct[np.arange(len(chosen)), chosen].mean()
    assert right > unseen[0].correct[np.arange(len(best)), best].mean() + 0.2
