"""`collegium report`; see also tests/orchestrator/pipelines/test_comparison_report.py."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from orchestrator.cli import group


def test_a_folder_without_a_report_is_refused_by_its_name(zoo: Path) -> None:
    profiled = CliRunner().invoke(
        group, ["profile", "--task", "questions.jsonl", "--split", "train", "--questions", "4"]
    )
    assert profiled.exit_code == 0, profiled.exception
    (folder,) = (zoo.parent / "runs").iterdir()
    refused = CliRunner().invoke(group, ["report", folder.name])
    assert "this pipeline leaves no report of methods" in str(refused.exception)
    assert "not the folder of a run" in str(CliRunner().invoke(group, ["report", str(zoo.parent)]).exception)


def test_json_has_the_figures(zoo: Path) -> None:
    asked = ["run", "--task", "questions.jsonl", "--methods", "vote", "--questions", "6", "--json"]
    ran = json.loads(CliRunner().invoke(group, asked).stdout)
    found = json.loads(CliRunner().invoke(group, ["report", str(Path(ran["report"]).parent), "--json"]).stdout)
    assert found["methods"] == ran["methods"]
