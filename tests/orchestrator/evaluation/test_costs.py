"""What experts cost: as given, as recorded, or refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from orchestrator.errors import BadInput
from orchestrator.evaluation.costs import CostOptions, costs_of, fit_router
from router import Row, Table
from router.routers import BestRouter, PricedRouter


def table(**cost: float) -> Table:
    extra = {"cost": cost} if cost else {}
    return Table.from_rows(Row(str(n), f"q{n}?", {"a": 1.0, "b": float(n % 2)}, extra=extra) for n in range(4))


def test_costs_come_from_the_option_a_file_or_the_table(tmp_path: Path) -> None:
    (tmp_path / "costs.json").write_text('{"a": 1, "b": 0.5, "another": 3}')
    assert costs_of("a=1,b=0.2", table()) == {"a": 1.0, "b": 0.2}
    assert costs_of(str(tmp_path / "costs.json"), table()) == {"a": 1.0, "b": 0.5, "another": 3.0}
    assert costs_of(None, table(a=2.0, b=0.0)) == {"a": 2.0, "b": 0.0}
    assert costs_of(None, table(a=2.0)) is None


@pytest.mark.parametrize("given", ["a=1", "a=1,b=-1", "a=1,b=inf", "a=1,b=x", "no/such/file"])
def test_what_is_no_cost_is_refused(given: str) -> None:
    with pytest.raises(BadInput, match=r"^costs: "):
        costs_of(given, table())


def test_a_router_is_priced_only_where_that_is_asked_for() -> None:
    import numpy as np

    from router import Features

    questions = Features(np.eye(4, dtype=np.float32))
    assert isinstance(fit_router("best", table(), questions, CostOptions()), BestRouter)
    assert isinstance(fit_router("best", table(), questions, CostOptions(quality=0.5, costs="a=1,b=0")), PricedRouter)
    with pytest.raises(BadInput, match='router best: costs: the table has no key "cost"'):
        fit_router("best", table(), questions, CostOptions(quality=0.5))
    with pytest.raises(ValidationError, match="either quality or spend"):
        CostOptions(quality=0.5, spend=1.0)
