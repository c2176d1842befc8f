"""Which methods a report compares in pairs, on the same questions."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.evaluation.methods import Answer, MethodOutcome
from orchestrator.evaluation.report.data import Comparison
from orchestrator.evaluation.report.intervals import mcnemar, paired_difference

HEADLINES = ("mixture", "symbolic-moe", "reconcile", "weighted-vote", "vote")
"""The first of them that was run makes the report's headline."""
SAMPLED = "self-consistency"
SELF = frozenset({"self-refine"})
"""Rounds of one expert with itself: there is no panel whose votes it should beat."""


def comparisons(outcomes: Sequence[MethodOutcome], seed: int) -> list[Comparison]:
    """Each method against the best expert; then, what talking adds: each discussion against the votes of the same first
    replies and against self-consistency at its own cost. Points of a cost curve (`self-consistency x4`) are compared
    with nothing."""
    answers = {outcome.name: outcome.answers for outcome in outcomes}
    talked = [outcome.name for outcome in outcomes if any(one.rounds > 1 for one in outcome.transcripts)]
    ordered = sorted((o.name for o in outcomes), key=lambda name: HEADLINES.index(name) if name in HEADLINES else 99)
    methods = {outcome.name for outcome in outcomes if outcome.role == "method"}
    pairs = [(name, "best") for name in ordered if name in methods - {"best", "single"}]
    for name in talked:
        votes = [] if name in SELF else ["vote", "weighted-vote", "reconcile-same-model"]
        equal = [outcome.name for outcome in outcomes if outcome.equals == name]
        pairs += [(name, other) for other in [*votes, SAMPLED, *equal] if other != name]
    return [
        Comparison(
            method=method,
            baseline=other,
            difference=paired_difference(*both, seed=seed),
            p=mcnemar(*both),
        )
        for method, other in pairs
        if method in answers and other in answers and (both := _paired(answers[method], answers[other]))[0]
    ]


def _paired(one: Sequence[Answer], other: Sequence[Answer]) -> tuple[list[float], list[float]]:
    """Both methods' scores on the questions on which neither of them failed."""
    pairs = [(float(a.right), float(b.right)) for a, b in zip(one, other, strict=True) if not (a.failed or b.failed)]
    return [a for a, _ in pairs], [b for _, b in pairs]
