"""Which methods a report compares in pairs, on the same questions."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.evaluation.methods import Answer, Method, MethodOutcome
from orchestrator.evaluation.metrics import Metric, differences
from orchestrator.evaluation.report.data import Comparison
from orchestrator.evaluation.report.intervals import mcnemar, paired_difference


def comparisons(
    outcomes: Sequence[MethodOutcome], methods: Sequence[Method], seed: int, metrics: Sequence[Metric] = ()
) -> list[Comparison]:
    """Each method against the reference that was run (the best expert alone); then, what talking adds: each discussion
    against the votes of the same first replies and against one expert's samples at its own cost. Points of a cost curve
    (`self-consistency x4`) are compared with nothing. The first comparison makes the report's headline."""
    known = {method.name: method for method in methods}
    answers = {outcome.name: outcome.answers for outcome in outcomes}
    talked = [outcome.name for outcome in outcomes if any(one.rounds > 1 for one in outcome.transcripts)]
    run = [outcome.name for outcome in outcomes if outcome.role == "method" and outcome.name in known]
    run.sort(key=lambda name: (known[name].headline is None, known[name].headline))
    reference = next((method.name for method in methods if method.reference and method.name in run), None)
    pairs = [(name, reference) for name in run if reference and not known[name].reference]
    for name in talked:
        votes = [method.name for method in methods if method.panel_vote and (name not in known or known[name].panel)]
        sampled = [method.name for method in methods if method.sampled]
        equal = [outcome.name for outcome in outcomes if outcome.equals == name]
        pairs += [(name, other) for other in [*votes, *sampled, *equal] if other != name]
    return [
        Comparison(
            method=method,
            baseline=other,
            difference=paired_difference(*both, seed=seed),
            p=mcnemar(*both),
            metrics=differences(metrics, (method, answers[method]), (other, answers[other]), seed),
        )
        for method, other in pairs
        if method in answers and other in answers and (both := _paired(answers[method], answers[other]))[0]
    ]


def _paired(one: Sequence[Answer], other: Sequence[Answer]) -> tuple[list[float], list[float]]:
    """Both methods' scores on the questions on which neither of them failed."""
    pairs = [(float(a.right), float(b.right)) for a, b in zip(one, other, strict=True) if not (a.failed or b.failed)]
    return [a for a, _ in pairs], [b for _, b in pairs]
