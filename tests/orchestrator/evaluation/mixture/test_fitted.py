"""A stored mixture is the one that was fitted; what is no mixture is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.evaluation.mixture.fit import fit_mixture
from orchestrator.evaluation.mixture.fitted import FittedMixture
from orchestrator.evaluation.mixture.options import FittingOptions
from router.table import Table

ASKED = ["Which coin is it?", "Which word is it?", "strange"]


@pytest.mark.parametrize("router", ["knn", "mixture"])
def test_a_stored_mixture_ranks_and_votes_as_before(table: Table, embedder: Any, tmp_path: Path, router: str) -> None:
    fitted = fit_mixture(table, FittingOptions(router=router), embedder)
    fitted.save(tmp_path / "one")
    again = FittedMixture.load(tmp_path / "one")
    assert (again.origin, again.odds, again.best) == (fitted.origin, fitted.odds, fitted.best)
    np.testing.assert_array_equal(again.shared, fitted.shared)
    assert again.need is not None
    assert fitted.need is not None
    np.testing.assert_array_equal(again.need.gains, fitted.need.gains)
    features = embedder.features(ASKED)
    assert again.rank(features) == fitted.rank(features)
    np.testing.assert_array_equal(again.familiarity.embeddings, fitted.familiarity.embeddings)
    assert {path.name for path in (tmp_path / "one").iterdir()} == {"mixture.json", "mixture.safetensors"}


def test_what_is_unlike_the_profile_goes_to_the_default_expert_and_says_so(table: Table, embedder: Any) -> None:
    fitted = fit_mixture(table, FittingOptions(router="knn"), embedder)
    strange = embedder.features(["strange"])
    (ranking,) = fitted.rank(strange, "weak")
    assert ranking.experts[0] == "weak"
    assert "unlike every profiled question" in ranking.evidence[0].label
    assert fitted.rank(strange)[0].experts[0] == fitted.best
    assert fitted.rank(strange, "nobody here")[0].experts[0] == fitted.best


def test_prices_count_where_the_best_over_the_profile_is_asked(table: Table, embedder: Any) -> None:
    options = FittingOptions(router="best", quality=0.0, costs="coins=2,words=2,weak=1")
    assert fit_mixture(table, options, embedder).best == "weak"


def test_what_is_no_stored_mixture_is_refused_by_name(table: Table, embedder: Any, tmp_path: Path) -> None:
    fit_mixture(table, FittingOptions(router="knn"), embedder).save(tmp_path / "one")
    path = tmp_path / "one" / "mixture.json"
    good = json.loads(path.read_text())
    for change in (
        {"format": 999},
        {"router": {"kind": "os.system", "fields": {}}},
        {"odds": 3},
        {"shared": 3},
        {"need": {"array": "x"}},
        {"origin": {}},
    ):
        path.write_text(json.dumps(good | change))
        with pytest.raises(ValueError, match=r"mixture\.json: not a stored mixture"):
            FittedMixture.load(tmp_path / "one")
    with pytest.raises(ValueError, match="not a stored mixture"):
        FittedMixture.load(tmp_path / "nothing")
