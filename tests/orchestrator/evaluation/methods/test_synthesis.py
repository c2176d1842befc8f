"""An aggregator that writes: chosen by a benchmark, and the vote where it fails."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from orchestrator.collegium import Collegium
from orchestrator.evaluation.answer import RunResult


def run(collegium: Collegium, task: Path, **options: Any) -> RunResult:
    return collegium.run(task=str(task), methods=["symbolic-moe"], questions=20, fit_questions=20, **options)


def asked() -> list[tuple[str, str, int]]:
    found: list[tuple[str, str, int]] = sys.modules["panel_scripts"].ASKED
    return found


def test_the_aggregator_is_chosen_by_the_benchmark_and_reads_no_thoughts(collegium: Collegium, tmp_path: Path) -> None:
    result = run(collegium, tmp_path / "asked.jsonl", aggregator="benchmark", keyword_expert="words", recruit=3)
    (method,) = result.report.methods
    assert "(critic: 100% over all)" in method.note
    assert method.overall.value == 1
    synthesis = [text for _, text, _ in asked() if "Several agents replied" in text]
    assert synthesis
    assert not any("secret" in text for text in synthesis)
    # Four experts aggregated the 20 cases, one right reply and two wrong; the critic then the 20 test questions.
    assert len(synthesis) <= 4 * 20 + 20


def test_an_aggregator_that_fails_leaves_it_to_the_vote(collegium: Collegium, tmp_path: Path) -> None:
    voted = run(collegium, tmp_path / "asked.jsonl", keyword_expert="words", recruit=3)
    written = run(collegium, tmp_path / "asked.jsonl", keyword_expert="words", recruit=3, aggregator="wrong")
    assert [m.overall for m in voted.report.methods] == [m.overall for m in written.report.methods]
    assert "wrong writes the answer" in written.report.methods[0].note
    assert written.report.methods[0].cost.calls > voted.report.methods[0].cost.calls
