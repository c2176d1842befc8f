"""Model-GLUE on the demo zoo with the real engine: what the benchmark promises, in small."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator import Collegium


@pytest.mark.soak
def test_the_demo_zoo_becomes_better_and_the_careless_expert_is_dropped(tmp_path: Path) -> None:
    config = {"zoo": "demo", "state": str(tmp_path / "state"), "runs": str(tmp_path / "runs")}
    experts = ["arithmetic", "letters", "calendar", "sorter", "careless"]
    with Collegium(config) as collegium:
        result = collegium.glue(experts=experts, select_questions=48, questions=64, trials=0, sample=16)
    methods = {method.method: method.overall.value for method in result.report.methods}
    assert methods["Model-GLUE"] >= methods["best single expert"] + 0.056
    assert result.report.glue is not None
    fates = {fate.expert: fate.fate for fate in result.report.glue.fates}
    assert fates["careless"] == "dropped"
    assert list(fates.values()).count("kept") >= 3
