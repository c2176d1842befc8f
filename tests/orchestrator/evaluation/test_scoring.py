"""A scorer decides what is right in a whole run, and what it does wrong is said with its name and the question's."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agents.question import Question
from agents.reply import parse_reply
from agents.transcript import Transcript
from orchestrator import Collegium
from orchestrator.errors import BadInput
from orchestrator.evaluation.answering import is_right
from orchestrator.evaluation.scoring import scored

QUESTION = Question(id="q1", question="Say it.", kind="open", answer="gold")


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("scorers_of_mine")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    module.number = 3  # type: ignore[attr-defined]
    module.shouts = lambda question, answer: answer.isupper()  # type: ignore[attr-defined]
    module.breaks = lambda question, answer: 1 / 0  # type: ignore[attr-defined]
    module.grades = lambda question, answer: 7  # type: ignore[attr-defined]
    module.half = lambda question, answer: 0.5  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("breaks", "--score: scorers_of_mine:breaks: question 'q1': ZeroDivisionError"),
        ("grades", "question 'q1': returned 7, not a number from 0 to 1"),
    ],
)
def test_a_scorer_that_fails_is_named(mine: ModuleType, name: str, message: str) -> None:
    (question,) = scored([QUESTION], f"scorers_of_mine:{name}")
    with pytest.raises(BadInput, match=message):
        is_right(question, "x")
    assert not is_right(question, None)


def test_what_is_no_function_is_refused_and_half_right_is_not_right(mine: ModuleType) -> None:
    with pytest.raises(BadInput, match="is no function but int"):
        scored([QUESTION], "scorers_of_mine:number")
    (question,) = scored([QUESTION], "scorers_of_mine:half")
    assert not is_right(question, "x")


def test_open_answers_come_as_they_were_written(mine: ModuleType) -> None:
    (question,) = scored([QUESTION], "scorers_of_mine:shouts")
    long = "\n".join(["MANY LOUD WORDS"] * 100)
    assert is_right(question, parse_reply("LOUD WORDS", question).answer)
    assert parse_reply(f"<think>so</think>{long}\n", question).answer == long
    assert parse_reply("LOUD WORDS", QUESTION).answer == "loud words"


def test_only_the_name_is_written_down(mine: ModuleType) -> None:
    (question,) = scored([QUESTION], "scorers_of_mine:shouts")
    read = Question.model_validate_json(question.model_dump_json())
    assert read.scorer == "scorers_of_mine:shouts"
    with pytest.raises(ValueError, match="which is not loaded"):
        is_right(read, "LOUD")
    transcript = Transcript.model_construct(question=read)
    assert transcript.is_right("LOUD") is None
    assert Transcript.model_construct(question=question).is_right("LOUD") is True


def test_a_run_and_its_profile_are_scored_by_it(mine: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    rows = [(split, f"{split} {word}?") for split in ("validation", "test") for word in ("one", "TWO", "three")]
    lines = [json.dumps({"question": text, "answer": "gold", "kind": "open", "split": split}) for split, text in rows]
    file.write_text("\n".join(lines))
    config: dict[str, Any] = {
        "experts": {name: {"script": f"tests.scripts.voices:{name}"} for name in ("loud", "quiet")},
        "workers": {"engine": "scripted", "in_process": True},
        "state": str(tmp_path / "state"),
        "runs": str(tmp_path / "runs"),
    }
    with Collegium(config) as collegium:
        result = collegium.run(task=str(file), methods=["each", "best"], score="scorers_of_mine:shouts")
        blind = collegium.run(task=str(file), methods=["each"])
    rights = {(reply.expert, reply.right) for reply in result.replies.values()}
    assert rights == {("loud", True), ("quiet", False)}
    assert result.profile is not None
    assert {row.correct["loud"] for row in result.profile.table.rows} == {1.0}
    assert {reply.right for reply in blind.replies.values()} == {False}
