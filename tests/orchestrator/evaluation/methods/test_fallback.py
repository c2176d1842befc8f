"""A run falls back on others, and counts what failed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.scripts.misbehaving import COST, Misbehaving


def test_a_run_falls_back_and_counts_what_failed(tmp_path: Path, upstream: Misbehaving, run: Any) -> None:
    methods = "each,best,vote,single"
    code, output, folder = run(tmp_path, upstream, ["broken", "fine"], "run", "--methods", methods, "--json")
    assert code == 0, output
    report: dict[str, Any] = json.loads(output[output.index("{") :])
    found = {one["method"]: one for one in report["methods"]}
    for method in ("best", "vote", "single"):
        assert found[method]["overall"]["value"] == 1.0
        assert found[method]["counts"] == {"right": 6, "wrong": 0, "abstained": 0, "unreadable": 0, "failed": 0}
        assert found[method]["cost"]["dollars"] == pytest.approx(6 * COST)
    cells = dict(zip(report["matrix"]["experts"], report["matrix"]["cells"], strict=True))
    assert cells["broken"][0]["n"] == 0
    assert any("broken answered nothing: UpstreamError" in line for line in report["warnings"])
    assert folder.exists()
