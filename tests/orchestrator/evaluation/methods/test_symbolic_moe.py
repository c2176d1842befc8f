"""symbolic-moe on scripted experts: skills named by an expert, profiles, recruiting, aggregation, cost."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.collegium import Collegium
from orchestrator.errors import BadInput
from orchestrator.evaluation.answer import RunResult


def run(collegium: Collegium, task: Path, **options: Any) -> RunResult:
    return collegium.run(task=str(task), methods=["symbolic-moe"], questions=20, fit_questions=20, **options)


def asked() -> list[tuple[str, str, int]]:
    found: list[tuple[str, str, int]] = sys.modules["panel_scripts"].ASKED
    return found


def test_skills_recruit_the_specialists(collegium: Collegium, tmp_path: Path) -> None:
    result = run(collegium, tmp_path / "asked.jsonl", keyword_expert="words", recruit=1)
    (method,) = result.report.methods
    assert method.overall.value == 1
    assert "skills named by words, 20 of 20 questions matched; 1 of 4 experts" in method.note
    (outcome,) = result.outcomes
    coin = next(answer for answer in outcome.answers if "coin" in answer.question.question)
    assert coin.ranking[0].expert == "coins"
    assert "tossing" in coin.ranking[0].reason
    # 20 questions, each with one reply that names skills and one answer: all of it is counted.
    assert method.cost.calls == 20 * 2


def test_the_same_run_again_asks_nobody(collegium: Collegium, tmp_path: Path) -> None:
    first = run(collegium, tmp_path / "asked.jsonl", aggregator="benchmark", keyword_expert="words")
    before = len(asked())
    second = run(collegium, tmp_path / "asked.jsonl", aggregator="benchmark", keyword_expert="words")
    assert len(asked()) == before
    assert [m.overall for m in second.report.methods] == [m.overall for m in first.report.methods]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"keyword_expert": "nobody"}, "keyword_expert: no expert 'nobody'"),
        ({"aggregator": "nobody"}, "--aggregator: no aggregator 'nobody'; there are log-odds"),
    ],
)
def test_unknown_names_are_refused_before_anybody_is_asked(
    collegium: Collegium, tmp_path: Path, options: dict[str, str], told: str
) -> None:
    with pytest.raises(BadInput, match=told):
        run(collegium, tmp_path / "asked.jsonl", **options)
    assert collegium.progress is None or collegium.progress.submitted == 0
