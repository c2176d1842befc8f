"""The held-out questions of several skills: each text once, and in a file that reads as it was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.question import Question
from orchestrator.errors import StorageError
from orchestrator.evaluation.profile import questions_of
from orchestrator.pipelines.growth.held_out import FILE, HeldOut


def asked(text: str, split: str, **more: object) -> Question:
    settings = {"id": f"q-{text}", "task": "t", "question": text, "kind": "number", "answer": "1", "split": split}
    return Question.model_validate(settings | more)


def test_a_question_of_two_skills_is_asked_once_and_counts_for_both(tmp_path: Path) -> None:
    shared = asked("What is 1?", "test")
    found = HeldOut.of({"a": [shared, asked("What is 2?", "validation")], "b": [shared, asked("What is 3?", "test")]})
    assert len(found.questions) == 3
    assert [one.question for one in found.of_split("test", "a")] == ["What is 1?"]
    assert [one.question for one in found.of_split("test", "b")] == ["What is 1?", "What is 3?"]
    assert len(found.of_split("test")) == 2
    other = shared.model_copy(update={"answer": "2"})
    assert len(HeldOut.of({"a": [shared], "b": [other]}).questions) == 2


def test_the_file_reads_as_it_was_written(tmp_path: Path) -> None:
    choice = {"kind": "choice", "choices": {"A": "red", "B": "blue"}, "answer": "B"}
    several = {"kind": "text", "answer": "Ada", "accepted": ("Ada Lovelace",)}
    questions = [
        asked("What is 1?", "test", skills=("sums",)),
        asked("Which?", "test", **choice),
        asked("Who?", "test", **several),
        asked("What is 2?", "validation", task="u"),
    ]
    found = HeldOut.of({"a": questions})
    found.write(tmp_path / FILE)
    for split in ("test", "validation"):
        read = questions_of(str(tmp_path / FILE), split, 10, 0)
        assert read == found.of_split(split)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        HeldOut({}, {}).write(tmp_path / "file" / FILE)
