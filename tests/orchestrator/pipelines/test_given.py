"""Questions and names as a program hands them over."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas
import pytest

from orchestrator.errors import BadInput
from orchestrator.evaluation.answer import RunRequest
from orchestrator.pipelines.given import understood
from orchestrator.pipelines.teaching import TeachRequest

ROWS = [{"question": "Is it so?", "answer": "yes"}, {"question": "Is it not?", "answer": "no"}]


def lines(path: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


def test_names_may_be_one_text(tmp_path: Path) -> None:
    found = understood(RunRequest, {"methods": "best, vote", "experts": "a", "task": "mixed"}, tmp_path)
    assert found == {"methods": ["best", "vote"], "experts": ["a"], "task": "mixed"}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("field", ["task", "questions"])
def test_questions_may_be_a_list_of_mappings(field: str, tmp_path: Path) -> None:
    found = understood(RunRequest, {field: ROWS}, tmp_path)
    assert lines(found["task"]) == [{"task": "given", **row} for row in ROWS]
    assert "questions" not in found
    again = understood(RunRequest, {field: tuple(dict(row) for row in ROWS)}, tmp_path)
    assert again == found  # the same questions are the same run
    assert understood(RunRequest, {field: ROWS[:1]}, tmp_path) != found


def test_a_frame_becomes_rows_and_what_is_missing_null(tmp_path: Path) -> None:
    frame = pandas.DataFrame({"question": ["2+2?", "3+3?"], "answer": [np.int64(4), 6], "note": [1.5, np.nan]})
    found = understood(RunRequest, {"task": frame}, tmp_path)
    assert lines(found["task"]) == [
        {"task": "given", "question": "2+2?", "answer": 4, "note": 1.5},
        {"task": "given", "question": "3+3?", "answer": 6, "note": None},
    ]


def test_rows_that_name_their_tasks_keep_them(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "category": "logic"}, ROWS[1]]
    assert lines(understood(RunRequest, {"task": rows}, tmp_path)["task"]) == rows


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": []}, "task: there is no question"),
        ({"task": ["What?"]}, "task: question 0: .*not str"),
        ({"task": [ROWS[0], {"question": object()}]}, "task: question 1: question: "),
        ({"task": {"question": "What?"}}, "a list of questions"),
        ({"task": "mixed", "questions": ROWS}, "not both"),
    ],
)
def test_what_is_no_list_of_questions_is_named(options: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=message):
        understood(RunRequest, options, tmp_path)


def test_requests_without_questions_are_left_alone(tmp_path: Path) -> None:
    assert understood(TeachRequest, {"out": "x"}, tmp_path) == {"out": "x"}
