"""A scorer decides what is right in a whole run, and what it does wrong is said with its name and the question's."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agents.question import Question, ScorerFailed
from agents.reply import parse_reply
from agents.transcript import Transcript
from orchestrator import Collegium
from orchestrator.cli.runs import scored_wholly
from orchestrator.errors import BadInput, NotScored
from orchestrator.evaluation.answering import is_right, judge
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
        ("breaks", "scorers_of_mine:breaks: question 'q1': ZeroDivisionError"),
        ("grades", "question 'q1': returned 7, not a number from 0 to 1"),
    ],
)
def test_a_scorer_that_fails_is_named(mine: ModuleType, name: str, message: str) -> None:
    (question,) = scored([QUESTION], f"scorers_of_mine:{name}")
    with pytest.raises(ScorerFailed, match=message):
        is_right(question, "x")
    assert judge(question, "x")[0] is False
    assert message in str(judge(question, "x")[1])
    assert judge(question, None) == (False, None)
    assert Transcript.model_construct(question=question).is_right("x") is None


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


def zoo(tmp_path: Path) -> tuple[dict[str, Any], str]:
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
    return config, str(file)


def at_times(question: Question, answer: str) -> bool:
    if "TWO" in question.question:
        raise RuntimeError("the judge is out")
    return answer.isupper()


def test_answers_on_which_the_scorer_fails_are_failed_and_the_others_count(mine: ModuleType, tmp_path: Path) -> None:
    mine.at_times = at_times  # type: ignore[attr-defined]
    config, file = zoo(tmp_path)
    with Collegium(config) as collegium:
        result = collegium.run(task=file, methods=["each", "best", "vote"], score="scorers_of_mine:at_times")
    kinds = {one.method: one.counts for one in result.report.methods}
    assert (kinds["best"].right, kinds["best"].failed) == (2, 1)
    assert kinds["vote"].failed == 1
    assert {one.method: one.overall.n for one in result.report.methods}["best"] == 2
    assert [line for line in result.report.warnings if "--score failed on 2 of 6 replies" in line]
    assert result.profile is not None
    assert sum("failed" in row.extra for row in result.profile.table.rows) == 1
    with pytest.raises(NotScored, match=r"--score failed on \d+ answers, .*RuntimeError: the judge is out"):
        scored_wholly(result)


def test_a_scorer_that_always_fails_leaves_only_failed_rows(mine: ModuleType, tmp_path: Path) -> None:
    config, file = zoo(tmp_path)
    with Collegium(config) as collegium:
        result = collegium.run(task=file, methods=["each", "vote"], score="scorers_of_mine:breaks")
    assert {one.counts.failed for one in result.report.methods} == {3}
    assert {one.counts.right + one.counts.wrong for one in result.report.methods} == {0}


def test_a_comparison_is_scored_by_it_too(mine: ModuleType, tmp_path: Path) -> None:
    mine.at_times = at_times  # type: ignore[attr-defined]
    config, file = zoo(tmp_path)
    with Collegium(config) as collegium:
        result = collegium.run(
            task=file,
            methods=["debate"],
            score="scorers_of_mine:at_times",
            compare=True,
            rounds=1,
            panel=["loud", "quiet"],
        )
    by_name = {one.method: one for one in result.report.methods}
    assert len(by_name) > 2
    assert all(one.counts.failed > 0 for one in by_name.values() if one.counts.right + one.counts.wrong)
    assert any(one.counts.right for one in by_name.values())


def test_a_run_and_its_profile_are_scored_by_it(mine: ModuleType, tmp_path: Path) -> None:
    config, file = zoo(tmp_path)
    with Collegium(config) as collegium:
        result = collegium.run(task=file, methods=["each", "best"], score="scorers_of_mine:shouts")
        blind = collegium.run(task=file, methods=["each"])
    rights = {(reply.expert, reply.right) for reply in result.replies.values()}
    assert rights == {("loud", True), ("quiet", False)}
    assert result.profile is not None
    assert {row.correct["loud"] for row in result.profile.table.rows} == {1.0}
    assert {reply.right for reply in blind.replies.values()} == {False}
