"""Experts are checked by a program as on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator import Collegium
from orchestrator.errors import BadInput
from orchestrator.inference.expert import Expert
from orchestrator.pipelines import check as module
from orchestrator.pipelines.check import CheckRequest, CheckResult


@pytest.fixture
def zoo(tmp_path: Path) -> Any:
    experts = {name: {"script": "tests.scripts.voices:loud"} for name in ("one", "two")}
    config = {"experts": experts, "workers": {"engine": "scripted", "in_process": True}, "state": str(tmp_path)}
    with Collegium(config) as collegium:
        yield collegium


def test_every_expert_loads_speaks_and_is_timed(zoo: Collegium) -> None:
    found = zoo.check(reference=False)
    assert isinstance(found, CheckResult)
    assert [(one.expert, one.problem, one.reference) for one in found.experts] == [
        ("one", None, "not asked for"),
        ("two", None, "not asked for"),
    ]
    assert found.failed == 0
    assert all(one.says.startswith("YES INDEED") for one in found.experts)
    assert all((one.tokens_per_second or 0) > 0 and one.load_seconds is not None for one in found.experts)


def test_what_could_not_be_compared_has_failed(zoo: Collegium, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(experts: list[Expert], tokens: int) -> list[object]:
        return [module.NoReference("no such architecture") for _ in experts]

    monkeypatch.setattr(module, "references", nothing)
    found = zoo.check(CheckRequest(experts=["two"]))
    (one,) = found.experts
    assert (one.expert, one.reference, found.failed) == ("two", "impossible", 1)
    assert "use --no-reference" in (one.problem or "")


def test_an_unknown_expert_is_refused(zoo: Collegium) -> None:
    with pytest.raises(BadInput, match="no expert 'three' in the zoo; it has one, two"):
        zoo.check(experts=["three"])
