"""A profile: no cell for what failed, and who failed is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from router.table import Table
from tests.scripts.misbehaving import COST, Misbehaving


def test_a_profile_has_no_cell_for_what_failed_and_says_who(tmp_path: Path, upstream: Misbehaving, run: Any) -> None:
    table = tmp_path / "table.jsonl"
    code, output, _ = run(tmp_path, upstream, ["fine", "refused", "html"], "profile", "--out", str(table))
    assert code == 0, output
    assert "2 experts answered nothing" in output
    assert "refused answered nothing: Unreachable (6x)" in output
    assert "0.0%" not in output
    found = Table.read(table)
    assert found.experts == ("fine",)
    for row in found.rows:
        assert row.correct == {"fine": 1.0}
        assert set(row.extra["failed"]) == {"refused", "html"}
        assert row.extra["failed"]["html"].startswith("UpstreamError: ")
        assert row.extra["cost"] == {"fine": COST}
        assert row.extra["cost_unit"] == "USD"


def test_nothing_to_score_is_an_error_and_no_table(tmp_path: Path, upstream: Misbehaving, run: Any) -> None:
    table = tmp_path / "table.jsonl"
    code, output, _ = run(tmp_path, upstream, ["refused", "broken"], "profile", "--out", str(table))
    assert code == 1
    assert "no expert gave an answer: refused: Unreachable" in output
    assert not table.exists()
