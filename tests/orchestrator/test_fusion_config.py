"""Fusions of one's own: checked when the configuration is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import validate
from orchestrator.errors import ConfigError


def read(**fusions: Any) -> Any:
    experts = {name: {"script": "x:y"} for name in ("a", "b")}
    return validate({"experts": experts, "fusions": fusions}, Path("c.yaml").absolute()).fusions


def test_a_fusion_has_defaults() -> None:
    assert read(mine={})["mine"].preset == "quality"
    assert read(mine={"panel": ["a", "b"], "judge": "b"})["mine"].judge == "b"


@pytest.mark.parametrize(
    ("plan", "named"),
    [
        ({"panel": ["a", "c"]}, "fusions.mine.panel: no expert 'c'"),
        ({"judge": "c"}, "fusions.mine.judge: no expert 'c'"),
        ({"synthesisers": ["c"]}, "fusions.mine.synthesisers: no expert 'c'"),
        ({"panel": ["a", "a"]}, "named twice"),
        ({"preset": "best"}, "fusions.mine.preset"),
        ({"judges": "a"}, "did you mean 'judge'"),
        ({"size": 0}, "fusions.mine.size"),
    ],
)
def test_what_is_wrong_is_named(plan: Any, named: str) -> None:
    with pytest.raises(ConfigError, match=named.replace("(", r"\(")):
        read(mine=plan)
    with pytest.raises(ConfigError, match=r"fusions\.a: an expert has this name"):
        read(a={})
