"""A metric's figure, interval and difference; what it does wrong is said with its name and the method's."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from agents.question import Question
from orchestrator import Collegium
from orchestrator.errors import BadInput
from orchestrator.evaluation import metrics as module
from orchestrator.evaluation.methods import Answer
from orchestrator.evaluation.metrics import METRICS, Metric, differences, figures, metrics_named
from orchestrator.evaluation.report.page import render

QUESTIONS = [Question(id=str(number), question="?", kind="text", answer="x") for number in range(400)]


def answers(rights: Sequence[bool], confidence: float | None = None) -> list[Answer]:
    return [Answer(q, "x" if r else "y", r, (), confidence=confidence) for q, r in zip(QUESTIONS, rights, strict=False)]


def share_right(found: Sequence[Answer]) -> float:
    return sum(one.right for one in found) / len(found)


RIGHT = Metric("Right", share_right)


def test_built_in_figures() -> None:
    found = [Answer(QUESTIONS[0], "x", True, (), confidence=0.8), Answer(QUESTIONS[1], "y", False, (), confidence=0.6)]
    found += [Answer(QUESTIONS[2], None, False, (), confidence=0.9), Answer(QUESTIONS[3], "x", True, ())]
    brier, answered = figures(list(METRICS.values()), "best", found, 0)
    assert brier.value == pytest.approx((0.2**2 + 0.6**2) / 2)
    assert not brier.higher_is_better
    assert answered.value == 0.75


def test_the_interval_is_the_bootstraps_and_a_difference_draws_the_same_questions() -> None:
    half = [number % 2 == 0 for number in range(400)]
    (one,) = figures([RIGHT], "a", answers(half), 0)
    spread = np.sqrt(0.25 / 400)  # at 90% the bounds would lie 0.008 nearer
    assert one.low == pytest.approx(0.5 - 1.96 * spread, abs=0.004)
    assert one.high == pytest.approx(0.5 + 1.96 * spread, abs=0.004)
    (same,) = differences([RIGHT], ("a", answers(half)), ("b", answers(half)), 0)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    (gap,) = differences([RIGHT], ("a", answers([True] * 400)), ("b", answers(half)), 0)
    assert gap.value == 0.5
    assert gap.low == pytest.approx(0.5 - 1.96 * spread, abs=0.004)


def test_a_figure_that_is_undefined_has_no_value_or_no_interval() -> None:
    brier = METRICS["brier"]
    (none,) = figures([brier], "best", answers([True] * 20), 0)
    assert (none.value, none.low, none.high, none.n) == (None, None, None, 20)
    one_sure = [*answers([True] * 20), Answer(QUESTIONS[20], "x", True, (), confidence=0.5)]
    (rare,) = figures([brier], "best", one_sure, 0)
    assert (rare.value, rare.low, rare.high) == (0.25, None, None)
    (gap,) = differences([brier], ("a", one_sure), ("b", answers([True] * 21)), 0)
    assert gap.value is None


def test_many_questions_are_resampled_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    counting = Metric("Calls", lambda found: calls.append(1) or 1.0)  # type: ignore[func-returns-value]
    monkeypatch.setattr(module, "MAX_VISITS", 60 * 300)
    figures([counting], "best", answers([True] * 60), 0)
    assert len(calls) == 1 + 300


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    own: Any = ModuleType("metrics_of_mine")
    monkeypatch.setitem(sys.modules, own.__name__, own)
    own.breaks = Metric("Breaks", lambda found: 1 / 0)
    own.endless = Metric("Endless", lambda found: float("nan"))
    own.word = Metric("Word", lambda found: "high")  # type: ignore[arg-type, return-value]
    own.right, own.function = RIGHT, share_right
    return own


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("breaks", "--metrics: Breaks: method 'best': ZeroDivisionError: division by zero; return None where"),
        ("endless", "--metrics: Endless: method 'best': returned nan, neither a finite number nor None"),
        ("word", "returned 'high', neither"),
    ],
)
def test_a_metric_that_fails_is_named(mine: ModuleType, name: str, message: str) -> None:
    metrics = metrics_named([f"metrics_of_mine:{name}"], {})
    with pytest.raises(BadInput, match=message):
        figures(metrics, "best", answers([True]), 0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("metrics_of_mine:function", "--metrics: 'metrics_of_mine:function' is no Metric but function"),
        ("briar", "no metric 'briar'; there are brier, answered, own"),
        ("metrics_of_mine:nothing", "has no attribute 'nothing'"),
        ("own", r"metrics\.own: 'nowhere:x'"),
    ],
)
def test_what_is_no_metric_is_refused(mine: ModuleType, name: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        metrics_named([name], {"own": "nowhere:x"})


def test_a_run_reports_figures_and_their_differences(mine: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    words = ("one", "TWO", "three", "four")
    rows = [(split, f"{split} {word}?") for split in ("validation", "test") for word in words]
    lines = [json.dumps({"question": q, "answer": "YES INDEED", "kind": "open", "split": s}) for s, q in rows]
    file.write_text("\n".join(lines))
    config: dict[str, Any] = {
        "experts": {name: {"script": f"tests.scripts.voices:{name}"} for name in ("loud", "quiet")},
        "workers": {"engine": "scripted", "in_process": True},
        "metrics": {"share": "metrics_of_mine:right"},
        "state": str(tmp_path / "state"),
        "runs": str(tmp_path / "runs"),
    }
    with Collegium(config) as collegium:
        result = collegium.run(task=str(file), methods=["single", "vote"], metrics=["share", "answered"])
        with pytest.raises(BadInput, match="no metric 'own'"):
            collegium.run(task=str(file), methods=["single"], metrics=["own"])
    for method in result.report.methods:
        share, answered = method.metrics
        assert share.value == method.overall.value
        assert answered.value == 1
    assert [method.role for method in result.report.methods] == ["reference", "method"]
    (comparison,) = result.report.comparisons
    assert comparison.metrics[0].value == comparison.difference.value
    page = render(result.report)
    assert "Right (higher is better)" in page
    assert "lower is better" not in page
