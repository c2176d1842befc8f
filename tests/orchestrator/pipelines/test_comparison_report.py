"""Several runs as one report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from orchestrator import Collegium
from orchestrator.cli import group
from orchestrator.evaluation.report import render
from orchestrator.pipelines.comparison_report import comparison_report
from orchestrator.pipelines.run_list import open_run, runs_in

SCRIPTS = """
def good(messages, seed):
    return "Answer: Yes"

def other(messages, seed):
    return "Answer: No" if " 3" in messages[-1][1] else "Answer: Yes"
"""
ROWS = [
    {"id": f"q{n}", "question": f"Is it {n}?", "answer": "yes", "kind": "yesno", "task": "even" if n % 2 else "odd"}
    for n in range(8)
]


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A run of one expert on eight questions, and one of the other on six of them."""
    (tmp_path / "two_voices.py").write_text(SCRIPTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    config: dict[str, Any] = {
        "experts": {name: {"script": f"two_voices:{name}"} for name in ("good", "other")},
        "workers": {"engine": "scripted", "in_process": True},
        "state": str(tmp_path / "state"),
        "runs": str(tmp_path / "runs"),
    }
    (tmp_path / "collegium.yaml").write_text(yaml.safe_dump(config))
    with Collegium(config) as collegium:
        for expert, rows in (("good", ROWS), ("other", ROWS[:6])):
            marked = [row | {"split": "test"} for row in rows]
            marked += [row | {"id": f"v{row['id']}", "split": "validation"} for row in rows]
            collegium.run(task=marked, methods="vote", experts=[expert])  # type: ignore[arg-type]
    found = {open_run(one.path).report.methods[0].overall.n: one.path for one in runs_in(tmp_path / "runs")}
    return [found[8], found[6]]


def test_methods_are_counted_on_shared_questions_with_their_own_costs(folders: list[Path]) -> None:
    report = comparison_report(folders)
    first, second = report.methods
    assert (first.method, second.method) == (f"{folders[0].name}: vote", f"{folders[1].name}: vote")
    assert (first.overall.value, first.overall.n, second.overall.n) == (1.0, 6, 6)
    assert second.overall.value == pytest.approx(5 / 6)  # "Is it 3?"
    assert {task: one.n for task, one in second.accuracies.items()} == {"even": 3, "odd": 3}
    assert (first.cost.calls, first.outcomes, second.outcomes) == (6, "111111", "111011")
    assert first.cost.completion_tokens > 0
    (pair,) = report.comparisons
    assert pair.difference.value == pytest.approx(1 / 6)
    assert report.decisions[0] == f"{folders[0].name}: 6 of its 8 questions are shared by all runs"


def test_every_shared_question_has_the_answers_of_all_runs(folders: list[Path]) -> None:
    samples = comparison_report(folders).samples
    assert [one.id for one in samples] == [f"q{n}" for n in range(6)]
    answers = {name: one.written for name, one in samples[3].answers.items()}
    assert answers[f"{folders[0].name}: vote"] == "yes"
    assert answers[f"{folders[1].name}: vote"] == "no"


def test_the_command_writes_one_page_for_one_run_or_several(folders: list[Path]) -> None:
    page = folders[0] / "report.html"
    before = page.read_text()
    page.unlink()
    result = CliRunner().invoke(group, ["report", folders[0].name])
    assert result.exit_code == 0, result.exception
    assert page.read_text() == before
    result = CliRunner().invoke(group, ["report", *map(str, folders), "--out", "both.html"])
    assert result.exit_code == 0, result.exception
    assert "both.html" in result.output
    assert Path("both.html").read_text().count(f"{folders[1].name}: vote") > 3
    assert render(comparison_report(folders)).count("<section") == Path("both.html").read_text().count("<section")
    missing = CliRunner().invoke(group, ["report", "run-none"])
    assert "run-none: there is no such folder" in str(missing.exception)
