"""Runs on the questions that they share, paired."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from orchestrator.errors import BadInput
from orchestrator.evaluation.report.data import Cost, MethodResult, RunReport
from orchestrator.evaluation.report.record import Interval
from orchestrator.pipelines.run_comparison import compare_runs

COST = Cost(calls=0, cached_calls=0, prompt_tokens=0, completion_tokens=0, seconds=0.0)
SOME = Interval(value=0.5, low=0.0, high=1.0, n=2)


def run(folder: Path, methods: dict[str, str], texts: dict[str, str], bounds: Collection[str] = ()) -> Path:
    """A run folder: method -> letters of the questions."""
    folder.mkdir()
    report = RunReport(
        title="t",
        command="c",
        created=datetime.now(UTC),
        split="test",
        fitted_on="",
        seed=0,
        methods=[
            MethodResult(
                method=name,
                accuracies={},
                overall=SOME,
                cost=COST,
                outcomes=found,
                role="bound" if name in bounds else "method",
            )
            for name, found in methods.items()
        ],
        questions=list(texts),
    )
    (folder / "results.json").write_text(report.model_dump_json())
    (folder / "config.json").write_text('{"pipeline": "run", "config": {}, "request": {}}')
    (folder / "finished").write_text("")
    rows = [{"question": id, "text": text} for id, text in texts.items()]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "answers.parquet")
    return folder


def test_methods_are_paired_on_shared_questions_and_failures_are_left_out(tmp_path: Path) -> None:
    one = run(tmp_path / "one", {"vote": "1101f", "best": "11111"}, {f"q{n}": f"Text {n}" for n in range(5)})
    other = run(tmp_path / "other", {"vote": "001a1"}, {f"q{n}": f"Text {n}" for n in range(1, 6)})
    questions, pairs = compare_runs([one, other])
    assert questions == 4  # q1 to q4
    (vote,) = pairs  # `best` is in one of them only
    assert (vote.first.method, vote.second.method) == ("vote", "vote")
    # q1 1:0, q2 0:0, q3 1:1; q4 failed there
    assert (vote.first.value, vote.second.value, vote.difference.n) == (pytest.approx(2 / 3), pytest.approx(1 / 3), 3)
    assert vote.difference.value == pytest.approx(1 / 3)
    assert vote.p == 1.0


def test_runs_without_a_common_method_are_compared_method_by_method_and_bounds_left_out(tmp_path: Path) -> None:
    texts = {"q1": "Is it so?", "q2": "Is it not?"}
    one = run(tmp_path / "one", {"vote": "10", "best": "01"}, texts)
    other = run(tmp_path / "other", {"mixture": "11", "oracle": "11"}, texts, bounds={"oracle"})
    _, pairs = compare_runs([one, other])
    assert [(pair.first.method, pair.second.method) for pair in pairs] == [("vote", "mixture"), ("best", "mixture")]


def test_equal_ids_of_other_questions_are_not_shared(tmp_path: Path) -> None:
    one = run(tmp_path / "one", {"vote": "11"}, {"q1": "Is it so?", "q2": "Is it not?"})
    other = run(tmp_path / "other", {"vote": "00"}, {"q1": "Something else?", "q2": "Other again?"})
    with pytest.raises(BadInput, match="no question in common"):
        compare_runs([one, other])


def test_what_cannot_be_compared_is_named(tmp_path: Path) -> None:
    one = run(tmp_path / "one", {"vote": "1"}, {"q1": "Is it so?"})
    with pytest.raises(BadInput, match="two to 8 runs"):
        compare_runs([one])
    old = run(tmp_path / "old", {"vote": ""}, {})
    with pytest.raises(BadInput, match="old: keeps no outcomes"):
        compare_runs([one, old])
