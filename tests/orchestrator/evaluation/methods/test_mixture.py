"""The mixture: any router, and cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.collegium import Collegium
from orchestrator.errors import BadInput


def test_the_mixture_takes_any_router(collegium: Collegium, tmp_path: Path) -> None:
    for router, told in (("best", "best router"), ("mixture", "stacked routers")):
        result = collegium.run(
            task=str(tmp_path / "asked.jsonl"), methods=["mixture"], questions=6, fit_questions=20, router=router
        )
        assert result.report.methods[0].note.startswith(f"{told}, 1 of 4")


def test_the_mixture_asks_whoever_is_cheap_where_cost_alone_counts(collegium: Collegium, tmp_path: Path) -> None:
    asking = {"task": str(tmp_path / "asked.jsonl"), "methods": ["mixture"], "questions": 6, "fit_questions": 20}
    costs = "words=2,coins=2,critic=0.1,wrong=2"
    result = collegium.run(**asking, quality=0, costs=costs)
    assert {one.expert for answer in result.outcomes[0].answers for one in answer.used} == {"critic"}
    assert result.report.methods[0].note.endswith("quality 0.00")
    with pytest.raises(BadInput, match=r"no expert costs as little as 0\.05"):
        collegium.run(**asking, spend=0.05, costs=costs)
