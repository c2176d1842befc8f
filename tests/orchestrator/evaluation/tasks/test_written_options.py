import pytest

from orchestrator.evaluation.tasks.cells import CellError
from orchestrator.evaluation.tasks.written_options import from_text, lettered


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ('["red", "blue"]', ["red", "blue"]),
        ("['red', 'blue']", ["red", "blue"]),
        ("('red', 'blue')", ["red", "blue"]),
        ("['red' 'dark blue'\n \"it's big\"]", ["red", "dark blue", "it's big"]),
        (
            "{'text': array(['red', 'blue'], dtype=object), 'label': array(['A', 'B'], dtype=object)}",
            {"text": ["red", "blue"], "label": ["A", "B"]},
        ),
        ("a ) 38 , b ) 27.675 , c ) none of these", {"a": "38", "b": "27.675", "c": "none of these"}),
        ("A. red\nB. blue", {"A": "red", "B": "blue"}),
        ("(A) red (B) blue", {"A": "red", "B": "blue"}),
        ("red | blue", ["red", "blue"]),
        ("red\nblue", ["red", "blue"]),
    ],
)
def test_options_in_a_text_cell(text: str, want: object) -> None:
    assert from_text(text, "choices") == want


@pytest.mark.parametrize("text", ["red", "['red' 'blue' ...]", "__import__('os')", "b ) 38 , c ) 27"])
def test_a_text_that_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(CellError, match=r"choices: .* is no list of options"):
        from_text(text, "choices")


def test_lettered_options_end_a_text() -> None:
    assert lettered("Which?\nA. red\nB. blue") == ("Which?", ["A", "B"], ["red", "blue"])
    assert lettered("Which?\nA. red\nB. blue\nSay why.") is None
    assert lettered("Which?\nA. red\nC. blue") is None
