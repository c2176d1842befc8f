"""A comparison has every baseline and keeps to its budget."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator import Collegium
from orchestrator.errors import BadInput
from orchestrator.evaluation.answer import RunRequest
from orchestrator.evaluation.compare import estimate
from orchestrator.evaluation.report import render

COSTS = ("calls", "tokens")


def asked() -> Any:
    import conferring  # type: ignore[import-not-found]

    return conferring.ASKED


def test_a_comparison_has_every_baseline_and_keeps_to_its_budget(zoo: Collegium) -> None:
    request = RunRequest(
        task="questions.jsonl", fit_split="train", methods=["reconcile"], questions=20, fit_questions=20, compare=True
    )
    whole = estimate(request, zoo.config, zoo.experts)
    assert whole.questions == 20
    less = estimate(request.model_copy(update={"budget": whole.tokens * 2 // 3}), zoo.config, zoo.experts)
    assert 8 <= less.questions < 20
    assert less.tokens <= whole.tokens * 2 // 3
    with pytest.raises(BadInput, match="--budget: 10 tokens do not suffice"):
        estimate(request.model_copy(update={"budget": 10}), zoo.config, zoo.experts)
    result = zoo.run(request)
    names = {method.method: method for method in result.report.methods}
    assert {
        "best",
        "vote",
        "weighted-vote",
        "self-refine",
        "reconcile",
        "reconcile-same-model",
        "oracle",
    } <= names.keys()
    calls = names["self-consistency, calls of reconcile"].cost.calls / 20
    assert calls == pytest.approx(names["reconcile"].cost.calls / 20, abs=0.5)
    assert names["self-consistency, tokens of reconcile"].cost.tokens <= names["reconcile"].cost.tokens
    assert "by seed 100.0, 100.0, 100.0" in names["reconcile"].note
    assert names["reconcile"].overall.n == 20
    spent = sum(text.count(" ") for _, text, _ in asked())
    assert spent < whole.tokens
    assert set(asked().values()) == {1}
    assert "self-consistency, calls of reconcile" in render(result.report)
    pairs = {(one.method, one.baseline) for one in result.report.comparisons}
    matched = {(name, f"self-consistency, {cost} of {name}") for name in ("reconcile", "self-refine") for cost in COSTS}
    assert matched | {("reconcile", "best"), ("reconcile", "vote"), ("self-refine", "best")} <= pairs
    assert not [pair for pair in pairs if "self-consistency" in pair[0] or " x" in pair[1]]
    assert ("self-refine", "vote") not in pairs
