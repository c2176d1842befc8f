"""Any router with an eye on cost."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from router import Features, Table
from router.routers import FittedRouter, KnnRouter, PricedRouter


def test_a_priced_router_spends_what_it_may_on_new_questions_and_comes_back_from_disk(
    fitted: tuple[Table, Features], unseen: tuple[Table, Features], tmp_path: Path
) -> None:
    costs = {"algebraist": 3.0, "botanist": 3.0, "grandmaster": 3.0, "amateur": 1.0}
    router = PricedRouter.fit(*fitted, router=KnnRouter.fit, costs=costs, spend=2.0)
    assert 0 < router.quality < 1
    first = router.score(unseen[1]).order()[:, 0]
    spent = np.mean([costs[router.experts[column]] for column in first])
    assert 1.0 < spent < 2.3
    router.save(tmp_path)
    again = FittedRouter.load(tmp_path)
    np.testing.assert_array_equal(again.score(unseen[1]).values, router.score(unseen[1]).values)
    assert "cost" in again.rank(unseen[1])[0].entries[0].terms
