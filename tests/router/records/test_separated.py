"""CSV and TSV: cells by column, empty ones none, rows with the line on which they begin."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from router.records.files import RecordError
from router.records.separated import records


def read(text: str, separator: str = ",") -> list[tuple[int, dict[str, object]]]:
    return list(records(io.BytesIO(text.encode()), Path("a.csv"), separator))


def test_a_row_knows_the_line_on_which_it_begins() -> None:
    assert read('q,a\n"two\nlines",1\n"x, y", \n') == [
        (2, {"q": "two\nlines", "a": "1"}),
        (4, {"q": "x, y", "a": None}),
    ]
    assert read("q\ta\nx\t1\n", "\t") == [(2, {"q": "x", "a": "1"})]


def test_a_row_with_other_cells_than_the_header_is_named() -> None:
    with pytest.raises(RecordError, match=r"a.csv:3: 3 cells for 2 columns \(q, a\)"):
        read("q,a\nx,1\ny,2,3\n")


def test_the_separator_that_a_spreadsheet_names_in_the_first_line() -> None:
    assert read("sep=|\nquestion|answer, short\n2+2?|4\n")[0][1] == {"question": "2+2?", "answer, short": "4"}


def test_the_files_of_mmlu_have_no_header() -> None:
    found = read("Which bone?,rib,skull,hip,toe,B\nWhich organ?,lung,eye,ear,skin,A\n")
    assert [number for number, _ in found] == [1, 2]
    assert found[0][1] == {"question": "Which bone?", "A": "rib", "B": "skull", "C": "hip", "D": "toe", "answer": "B"}
    assert read("question,A,B,C,answer\nWhich?,1,2,3,B\n")[0][1]["answer"] == "B"


def test_lines_that_end_with_a_carriage_return_alone_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    path.write_bytes(b"question,answer\rWhat is 2 + 2?,4\rWhat is 3 + 3?,6\r")
    with path.open("rb") as file, pytest.raises(RecordError, match="a carriage return alone"):
        list(records(file, path, ","))


def test_a_row_without_any_cell_is_none() -> None:
    assert [row["q"] for _, row in read("q,a\n,\nx,1\n , \n")] == ["x"]
