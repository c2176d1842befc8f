"""The model card and the record of a grown adapter."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import yaml

from agents.question import Question
from orchestrator.pipelines.growth.card import RECORD, GrowthRecord, TrainingFigures, card, read_record, write_record
from orchestrator.pipelines.growth.lessons import LessonCounts
from orchestrator.pipelines.growth.sift import Sifted
from orchestrator.pipelines.growth.worked import Worked

COUNTS = LessonCounts(**{one.name: 0 for one in dataclasses.fields(LessonCounts)})
MADE = GrowthRecord(sources=("a.csv",), request={"seed": 0}, lessons=COUNTS, teachers={"big": "f1"}, revision="r1")


def test_the_card_says_who_worked_the_questions_out_and_what_was_left_out() -> None:
    question = Question(id="1", question="What?", answer="1")
    kept = [Worked(question, "So.", "1", "big"), Worked(question, "", "1", "source")]
    text = card('odd: "name"', "demo/SmolLM2-135M-Instruct", Sifted(kept, duplicates=3, leaks=1_234), MADE)
    head, body = text.removeprefix("---\n").split("\n---\n", 1)
    assert yaml.safe_load(head)["base_model"] == "demo/SmolLM2-135M-Instruct"
    assert "a.csv; 2 questions, worked out 1 by big, 1 by their source; 1 of them with their answer alone" in body
    assert "3 duplicates, 1,234 that stand in the held-out questions" in body


def test_a_record_is_read_again_and_knows_what_decides_an_adapter(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    figures = TrainingFigures(steps=3, tokens=100, seconds=1.5, loss=0.25)
    write_record(tmp_path, MADE.model_copy(update={"training": figures}))
    found = read_record(tmp_path)
    assert found is not None
    assert found.training == figures
    assert found.same(MADE)
    assert found.same(MADE.model_copy(update={"revision": "r2"}))
    for change in ({"request": {"seed": 1}}, {"sources": ("b.csv",)}, {"teachers": {}}):
        assert not found.same(MADE.model_copy(update=change))
    (tmp_path / RECORD).write_text("{}")
    assert read_record(tmp_path) is None
