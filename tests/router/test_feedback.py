"""Feedback changes what a router knows, can be taken back, and survives a crash in mid-line."""

from __future__ import annotations

from pathlib import Path

import pytest

from router import Features, Row, Table, TableError
from router.feedback import FeedbackLog
from router.routers import SkillsRouter

TABLE = Table.from_rows([Row("0", "old", {"a": 1.0, "b": 0.0}, skills=("law",))])


def test_verdicts_are_folded_into_the_table_and_taken_back(tmp_path: Path) -> None:
    log = FeedbackLog(tmp_path / "feedback.jsonl")
    assert log.apply(TABLE) == TABLE
    assert [log.add("new?", "b", 1.0, ["law"]), log.add("new?", "b", 0.5), log.add("else?", "c", 0.0)] == [1, 2, 3]
    grown = log.apply(TABLE)
    assert grown.experts == ("a", "b", "c")
    assert [row.correct for row in grown.rows[1:]] == [{"b": 0.75}, {"c": 0.0}]
    assert grown.rows[1].skills == ("law",)
    assert log.undo(2) == 4
    assert log.apply(TABLE).rows[1].correct == {"b": 1.0}
    assert log.apply(TABLE, version=3) == grown
    assert log.version == 4


def test_feedback_moves_a_profile(tmp_path: Path) -> None:
    import numpy as np

    log = FeedbackLog(tmp_path / "feedback.jsonl")

    def first() -> str:
        table = log.apply(TABLE)
        vectors = np.tile(np.eye(4, dtype=np.float32)[0], (len(table.rows), 1))
        features = Features(vectors, table.skills(), {"law": vectors[0]})
        return SkillsRouter.fit(table, features).rank(features.take([0]))[0].experts[0]

    assert first() == "a"
    for index in range(8):
        log.add(f"q{index}", "b", 1.0, ["law"])
        log.add(f"q{index}", "a", 0.0, ["law"])
    assert first() == "b"


def test_only_standing_verdicts_can_be_taken_back(tmp_path: Path) -> None:
    log = FeedbackLog(tmp_path / "feedback.jsonl")
    log.add("q", "a", 1.0)
    log.undo(1)
    for version in (1, 2, 9):
        with pytest.raises(ValueError, match="no verdict that stands"):
            log.undo(version)


@pytest.mark.parametrize(("question", "expert", "score"), [("", "a", 1.0), ("q", "", 1.0), ("q", "a", 1.1)])
def test_senseless_feedback_is_refused(tmp_path: Path, question: str, expert: str, score: float) -> None:
    log = FeedbackLog(tmp_path / "feedback.jsonl")
    with pytest.raises(ValueError):
        log.add(question, expert, score)
    assert log.version == 0


def test_a_line_cut_short_is_dropped_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    log = FeedbackLog(tmp_path / "feedback.jsonl")
    log.add("q", "a", 1.0)
    with log.path.open("ab") as file:
        file.write(b'{"version": 2, "ques')
    assert log.version == 1
    assert log.add("r", "a", 0.0) == 2
    assert [verdict.question for verdict in log.verdicts()] == ["q", "r"]
    log.path.write_bytes(b'{"version": 7}\n')
    with pytest.raises(TableError, match="row 1: version 1 expected"):
        log.verdicts()
    log.path.write_bytes(b'{"version": 1, "question": "q"}\n')
    with pytest.raises(TableError, match="row 1: not a verdict"):
        log.verdicts()
