"""Fusion as a method: who sits on its panel, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.collegium import Collegium
from orchestrator.errors import BadInput
from orchestrator.evaluation.methods.fusion import members
from orchestrator.evaluation.methods.method import MethodOptions, Setting
from orchestrator.fusion_config import FusionConfig
from orchestrator.inference.expert import Expert, Prices
from orchestrator.inference.request import Sampling


def setting(collegium: Collegium, **options: Any) -> Setting:
    return Setting(collegium.context(), [], Sampling(), 0, MethodOptions(**options))


def test_the_panel_is_named_or_preferred_or_the_first(collegium: Collegium) -> None:
    plain = setting(collegium)
    assert members(plain, FusionConfig()) == ["words", "coins", "wrong", "critic"]
    assert members(plain, FusionConfig(size=2)) == ["words", "coins"]
    assert members(plain, FusionConfig(panel=["critic"])) == ["critic"]
    assert members(setting(collegium, panel=["wrong", "words"]), FusionConfig(panel=["critic"])) == ["wrong", "words"]
    ranked = Setting(plain.context, [], Sampling(), 0, preferred=("critic", "words", "coins", "wrong"))
    assert members(ranked, FusionConfig(size=1)) == ["critic"]


def test_a_budget_takes_the_cheapest(collegium: Collegium) -> None:
    cheap, dear = Prices(input=1.0, output=1.0), Prices(input=9.0, output=9.0)
    prices = {"words": dear, "coins": None, "wrong": cheap, "critic": dear}
    known = {name: Expert(name, "f", "s", script="x:y", prices=price) for name, price in prices.items()}
    base = setting(collegium)
    priced = Setting(base.context.only(known.values()), [], Sampling(), 0, MethodOptions(preset="budget"))
    assert members(priced, FusionConfig()) == ["coins", "wrong"]  # a local expert without a price costs nothing


def test_a_run_fuses_open_questions_and_votes_on_others(collegium: Collegium, tmp_path: Path) -> None:
    result = collegium.run(
        task=str(tmp_path / "asked.jsonl"), methods=["fusion"], questions=4, fit_questions=20, panel=["words", "coins"]
    )
    (outcome,) = result.outcomes
    assert {one.votes[-1].rule for one in outcome.transcripts} == {"log-odds"}
    assert all(one.calls == 2 for one in outcome.transcripts)


def test_a_panel_of_strangers_is_refused(collegium: Collegium, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no expert 'nobody'"):
        collegium.run(task=str(tmp_path / "asked.jsonl"), methods=["fusion"], questions=4, panel=["nobody"])
