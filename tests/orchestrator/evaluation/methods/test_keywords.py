"""Keywords of a question, and who is asked for them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from orchestrator.collegium import Collegium
from orchestrator.evaluation.answer import RunResult


def run(collegium: Collegium, task: Path, **options: Any) -> RunResult:
    return collegium.run(task=str(task), methods=["symbolic-moe"], questions=20, fit_questions=20, **options)


def asked() -> list[tuple[str, str, int]]:
    found: list[tuple[str, str, int]] = sys.modules["panel_scripts"].ASKED
    return found


def test_five_runs_are_five_draws_and_only_what_they_agree_on_counts(collegium: Collegium, tmp_path: Path) -> None:
    result = run(collegium, tmp_path / "asked.jsonl", keyword_expert="words", keyword_runs=5)
    naming = [(text, seed) for who, text, seed in asked() if who == "words" and "Keywords:" in text]
    assert len(naming) == 40 * 5
    assert len({text for text, _ in naming}) == 40
    first = [seed for text, seed in naming if text == naming[0][0]]
    assert len(set(first)) == 5
    skills = result.outcomes[0].answers[0].ranking[0].reason
    assert "spelling" in skills or "tossing" in skills


def test_the_keyword_expert_is_chosen_by_what_its_keywords_are_worth(collegium: Collegium, tmp_path: Path) -> None:
    result = run(collegium, tmp_path / "asked.jsonl")
    # The critic names nothing; the others name the same, and the first of them is taken.
    assert "skills named by words" in result.report.methods[0].note


def test_without_keywords_the_best_experts_are_recruited(collegium: Collegium, tmp_path: Path) -> None:
    result = run(collegium, tmp_path / "asked.jsonl", keyword_expert="critic", recruit=1)
    assert "0 of 20 questions matched" in result.report.methods[0].note
    assert result.report.methods[0].overall.value == 0.5
    # The engine refuses a reply that breaks the structure; each was asked again without.
    assert sum(who == "critic" and "Keywords:" in text for who, text, _ in asked()) == 2 * (20 * 5 + 20)
