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


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # vLLM's, in this process
@pytest.mark.parametrize("method", ["ties", "dare_linear", "dare_ties"])
def test_every_method_is_searched_over_weights_densities_and_layer_groups(method: str, tmp_path: Path) -> None:
    config = {"zoo": "demo", "state": str(tmp_path / "state"), "workers": {"in_process": True}}
    asked = {"experts": ["arithmetic", "letters"], "select_questions": 16, "questions": 8, "max_tokens": 48}
    with Collegium(config) as collegium:
        result = collegium.glue(**asked, method=method, groups=2, trials=6, seed=1)
        assert result.report.glue is not None
        (search,) = result.report.glue.searches
        tried = [trial for trial in search.trials if trial.stage == "cma"]
        assert len(tried) >= 6
        assert len({tuple(trial.weights.items()) for trial in tried}) == len(tried)
        assert all(0 <= trial.score <= 1 for trial in tried)
        assert search.score == max(trial.score for trial in search.trials if len(trial.weights) > 1)
        before = collegium.progress
        again = collegium.glue(**asked, method=method, groups=2, trials=6, seed=1)
        assert again.report.glue == result.report.glue
        assert before is not None
        assert collegium.progress is not None
        assert collegium.progress.submitted == before.submitted
