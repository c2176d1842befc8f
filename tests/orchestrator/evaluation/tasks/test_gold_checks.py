"""Files whose gold answers cannot be meant as they stand: each is one error that names place, key and remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import BadInput
from orchestrator.evaluation.tasks import parse_columns, source_of
from orchestrator.evaluation.tasks.cells import CellError
from orchestrator.evaluation.tasks.gold_checks import one_mark


def read(folder: Path, rows: list[dict[str, Any]], columns: str = "") -> list[str | None]:
    path = folder / "set.jsonl"
    path.write_text("".join(json.dumps({"question": f"Which {n}?", **row}) + "\n" for n, row in enumerate(rows)))
    return [one.answer for one in source_of(str(path), parse_columns(columns)).questions()]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"answer": "1+1\n#### 2"}, {"answer": "so 7"}], r"set.jsonl:2: answer: no #### in 'so 7', as in 1 of 2"),
        ([{"solution": "\\boxed{2}"}, {"solution": "trivial"}], r"set.jsonl:2: solution: no \\boxed{} in 'trivial'"),
        ([{"answer": "4"}, {"answer": "N/A"}], r"set.jsonl:2: answer: 'N/A' is no gold answer, and the others are num"),
        ([{"answer": "yes"}, {"answer": "unknown"}], r"set.jsonl:2: answer: 'unknown' is no gold answer"),
        ([{"answer": str(n)} for n in range(30)] + [{"answer": "many"}], r"set.jsonl:31: answer: 'many' .* 30 of 31"),
        ([{"answer": 1}, {"answer": 0}], r"answer: every gold answer is 0 or 1: .*kind=yesno, or kind=number"),
        ([{"answer": "1,500"}, {"answer": "2,5"}], r"set.jsonl:1: answer: '1,500': is the comma a decimal mark"),
        ([{"answer": [2, 3]}, {"answer": [4]}], r"set.jsonl:1: answer: 2, 3: several numbers: .*kind=set"),
        ([{"label": 2}, {"label": 4}], r"label: 2, 4: numbers of classes, and no column names them"),
        ([{"answer": "A"}, {"answer": "(C)"}], r"answer: 'A': every gold answer is a letter, and no options were"),
        ([{"answer": "T"}, {"answer": "F"}], r"every gold answer is a letter"),
        (
            [{"options": ["a1", "b1"], "answer": "b1", "answer_idx": "A"}],
            r"set.jsonl:1: answer 'b1' and answer_idx 'A' name different options: say which is gold",
        ),
        (
            [
                {"choices": ["a1", "b1"], "answer": 1, "correct_answer": None},
                {"choices": ["a1", "b1"], "answer": 0, "correct_answer": "B"},
            ],
            r"set.jsonl:2: answer '0' and correct_answer 'B' name different options",
        ),
    ],
)
def test_gold_answers_that_cannot_be_meant(tmp_path: Path, rows: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        read(tmp_path, rows)


@pytest.mark.parametrize(
    ("rows", "columns", "want"),
    [
        ([{"answer": 1}, {"answer": 0}], "kind=yesno", ["yes", "no"]),
        ([{"answer": 1}, {"answer": 0}], "kind=number", ["1", "0"]),
        ([{"label": 2}, {"label": 4}], "kind=number", ["2", "4"]),
        ([{"answer": "A"}, {"answer": "C"}], "kind=text", ["A", "C"]),
        ([{"answer": "#### Head"}, {"answer": "plain"}], "kind=text", ["#### Head", "plain"]),
        ([{"answer": "5"}, {"answer": "Ada"}], "", ["5", "Ada"]),
        ([{"options": ["a1", "b1"], "answer": "b1", "answer_idx": "A"}], "answer=answer", ["B"]),
        ([{"options": ["a1", "b1"], "answer": "B", "answer_index": 1}], "", ["B"]),
    ],
)
def test_what_the_user_says_or_two_columns_agree_on_is_read(
    tmp_path: Path, rows: list[dict[str, Any]], columns: str, want: list[str]
) -> None:
    assert read(tmp_path, rows, columns) == want


def test_few_marks_are_no_rule() -> None:
    raw, places = [["#### a"], ["b"], ["c"]], ["f:1", "f:2", "f:3"]
    assert not one_mark(raw, places, "answer", "####", lambda one: "####" in one)
    with pytest.raises(CellError, match="f:2: answer: no ####"):
        one_mark([*raw, ["#### d"]], [*places, "f:4"], "answer", "####", lambda one: "####" in one)


def test_a_point_before_three_digits_among_decimal_commas(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"set.jsonl:2: answer: '1.234' is 1234 where a comma is the decimal mark"):
        read(tmp_path, [{"answer": "0,5"}, {"answer": "1.234"}])
    assert read(tmp_path, [{"answer": "0,5"}, {"answer": "1.234,5"}]) == ["0,5", "1.234,5"]
    assert read(tmp_path, [{"answer": "0.5"}, {"answer": "1.234"}]) == ["0.5", "1.234"]


def test_one_number_in_two_spellings_is_one(tmp_path: Path) -> None:
    assert read(tmp_path, [{"answer": ["0.5", "1/2"]}]) == ["0.5"]
    assert read(tmp_path, [{"answer": [2, 3]}], "kind=number") == ["2"]
