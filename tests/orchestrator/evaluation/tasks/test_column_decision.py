"""Which column holds what in files whose names are a well-known data set's, or nobody's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agents.question import Question
from orchestrator.errors import BadInput
from orchestrator.evaluation.tasks import source_of


def read(folder: Path, *rows: dict[str, Any]) -> list[Question]:
    path = folder / "set.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return list(source_of(str(path)).questions())


def right(question: Question) -> str:
    return (question.choices or {})[str(question.answer)]


GPQA = {"Correct Answer": "red", "Incorrect Answer 1": "7", "Incorrect Answer 2": "8", "Incorrect Answer 3": "9"}


BEST, GAP = "Which of the options continues the text best?", "Which option fills the gap?"


@pytest.mark.parametrize(
    ("row", "asked", "gold"),
    [
        ({"ctx": "A dog", "endings": ["sings", "barks", "x"], "label": "1"}, f"A dog\n\n{BEST}", "barks"),
        ({"sentence": "The _ fell", "option1": "cat", "option2": "cup", "answer": "2"}, f"The _ fell\n\n{GAP}", "cup"),
        ({"Question": "Colour?", **GPQA}, "Colour?", "red"),
        ({"question_stem": "Q?", "choices": {"text": ["a1", "b1"], "label": ["A", "B"]}, "answerKey": "B"}, "Q?", "b1"),
        ({"premise": "It rained.", "choice1": "wet", "choice2": "dry", "question": "effect", "label": 0},
         "It rained.\n\neffect", "wet"),
    ],
)  # fmt: skip
def test_choices_of_well_known_files(tmp_path: Path, row: dict[str, Any], asked: str, gold: str) -> None:
    (question,) = read(tmp_path, row)
    assert (question.question, right(question)) == (asked, gold)


@pytest.mark.parametrize(("places", "golds"), [((3, 0), ["w", "x"]), ((4, 1), ["w", "x"])])
def test_a_copy_that_counts_options_from_one_is_seen_by_its_numbers(
    tmp_path: Path, places: tuple[int, int], golds: list[str]
) -> None:
    rows = [{"question": f"{n}?", "opa": "x", "opb": "y", "opc": "z", "opd": "w", "cop": n} for n in places]
    assert [right(one) for one in read(tmp_path, *rows)] == golds


@pytest.mark.parametrize(
    ("row", "asked", "gold", "kind"),
    [
        ({"Body": "Ann has 3.", "Question": "How many?", "Answer": 3.0}, "Ann has 3.\n\nHow many?", "3", "number"),
        ({"Question": "Seeds?", "Best Answer": "Nothing", "Incorrect Answers": "Death"}, "Seeds?", "Nothing", "text"),
        ({"passage": "P", "question": "q?", "answers_spans": {"spans": ["12"]}}, "P\n\nq?", "12", "text"),
        ({"prompt": "def f():", "test": "assert 1", "task_id": "f"}, "def f():", "assert 1", "code"),
        ({"instruction": "2+2?", "output": "4", "text": "### 2+2?\n### 4"}, "2+2?", "4", "number"),
        ({"prompt": [{"role": "user", "content": "2+2?"}], "completion": [{"role": "assistant", "content": "4"}]},
         "2+2?", "4", "number"),
        ({"conversations": [{"from": "human", "value": "2+2?"}, {"from": "gpt", "value": "4"}]},
         "2+2?", "4", "number"),
    ],
)  # fmt: skip
def test_open_questions_of_well_known_files(
    tmp_path: Path, row: dict[str, Any], asked: str, gold: str, kind: str
) -> None:
    (question,) = read(tmp_path, row)
    assert (question.question, question.answer, question.kind) == (asked, gold, kind)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prompt": "q?", "chosen": "good", "rejected": "bad"}, "pairs of replies, and no gold answers"),
        ({"message_id": "a", "parent_id": None, "text": "Hi", "role": "prompter"}, "messages of chats, one per record"),
        ({"premise": "A man walks", "hypothesis": "He sits", "label": 2}, "question: no column of that name"),
    ],
)
def test_what_holds_no_questions_is_refused(tmp_path: Path, row: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        read(tmp_path, row)


def test_wrong_options_in_a_list_of_their_own(tmp_path: Path) -> None:
    rows = [
        {"question": f"Which {n}?", "correct_answer": f"right {n}", "incorrect_answers": [f"w{n}", f"v{n}", f"u{n}"]}
        for n in range(12)
    ]
    found = read(tmp_path, *rows)
    assert [right(one) for one in found] == [f"right {n}" for n in range(12)]
    assert len({one.answer for one in found}) > 1  # the right one does not stand at one place


def test_columns_named_by_letters_and_in_other_languages(tmp_path: Path) -> None:
    assert read(tmp_path, {"q": "2+2?", "a": "4"})[0].answer == "4"
    options = {"q": "2+2?", "a": "3", "b": "4", "c": "5", "correct": "b"}
    assert right(read(tmp_path, options)[0]) == "4"
    assert read(tmp_path, {"Frage": "2+2?", "Antwort": "4"})[0].answer == "4"
    assert read(tmp_path, {"问题": "2+2?", "答案": "4"})[0].answer == "4"
