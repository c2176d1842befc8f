"""Run folders, opened again and listed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import orchestrator
from orchestrator import Collegium
from orchestrator.errors import BadInput
from orchestrator.evaluation.answer import RunResult
from orchestrator.pipelines.run_list import run_entry, runs_in

ZOO = {
    "experts": {name: {"script": f"run_list_replies:{name}"} for name in ("words", "coins")},
    "workers": {"engine": "scripted", "in_process": True},
}
QUESTIONS = [
    {"id": f"{split}-{n}", "question": f"Is it so, number {n}?", "answer": "yes", "kind": "yesno", "split": split}
    for split in ("validation", "test")
    for n in range(6)
]


@pytest.fixture
def zoo(tmp_path: Path) -> Collegium:
    (tmp_path / "run_list_replies.py").write_text(
        'def words(messages, sampling):\n    return "Answer: yes" if "3" in messages[-1][1] else "Answer: no"\n\n\n'
        'def coins(messages, sampling):\n    return "Answer: yes"\n'
    )
    return Collegium({**ZOO, "state": str(tmp_path / "state"), "runs": str(tmp_path / "runs")})


def test_a_run_is_kept_opened_again_and_shown_as_a_frame(
    zoo: Collegium, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "run_list_replies", raising=False)
    with zoo:
        result = zoo.run(task=QUESTIONS, methods="each,vote", experts="words,coins")  # type: ignore[arg-type]
        table = zoo.profile(task=QUESTIONS).table  # type: ignore[arg-type]
    (entry,) = [one for one in runs_in(tmp_path / "runs") if one.pipeline == "run"]
    assert entry.finished
    assert entry.request["methods"] == ["each", "vote"]
    again = orchestrator.open_run(entry.path)
    assert isinstance(again, RunResult)
    assert again.report.methods == result.report.methods
    assert again.report.questions == [f"test-{n}" for n in range(6)]
    by_name = {one.method: one for one in again.report.methods}
    assert by_name["vote"].outcomes.count("1") == round(6 * by_name["vote"].overall.value)
    assert again.report.expert_outcomes == {"words": "000100", "coins": "111111"}
    frame, fresh = again.to_pandas(), result.to_pandas()
    assert list(frame.columns) == list(fresh.columns)
    assert len(frame) == len(fresh) == 6 * 4  # two experts, their oracle, and a vote
    coins = frame[frame.method == "coins"]
    assert (coins.outcome == "right").all()
    from_report = RunResult(again.report, (), {}, None).to_pandas()  # as of a service elsewhere
    votes = frame[frame.method == "vote"]
    assert list(from_report[from_report.method == "vote"].outcome) == list(votes.outcome)
    assert set(from_report.method) == set(frame.method)
    page = again.to_html(tmp_path / "report.html")
    assert "vote" in page.read_text("utf-8")
    (profiled,) = [one for one in runs_in(tmp_path / "runs") if one.pipeline == "profile"]
    assert orchestrator.open_run(profiled.path).table.rows == table.rows


def test_what_is_no_finished_run_is_named(tmp_path: Path) -> None:
    assert run_entry(tmp_path) is None
    with pytest.raises(BadInput, match="not the folder of a run"):
        orchestrator.open_run(tmp_path)
    (tmp_path / "config.json").write_text('{"pipeline": "run", "config": {}, "request": {}}')
    with pytest.raises(BadInput, match="has not ended"):
        orchestrator.open_run(tmp_path)
    for text in ("[" * 100_000, '{"pipeline": "none", "request": {}}', '{"pipeline": "run", "request": 5}', "[]"):
        (tmp_path / "config.json").write_text(text)
        assert run_entry(tmp_path) is None
    assert list(runs_in(tmp_path / "nowhere")) == []


def test_the_newest_comes_first(tmp_path: Path) -> None:
    for age, name in enumerate(("run-b", "run-a", "profile-c")):
        (tmp_path / name).mkdir()
        file = tmp_path / name / "config.json"
        file.write_text('{"config": {}, "request": {}}')  # as of version 0.1
        os.utime(file, (1000 - age, 1000 - age))
    assert [(one.path.name, one.pipeline) for one in runs_in(tmp_path)] == [
        ("run-b", "run"),
        ("run-a", "run"),
        ("profile-c", "profile"),
    ]
