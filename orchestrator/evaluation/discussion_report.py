"""What the report shows of methods in which experts confer: figures by round, calibration, a choice of transcripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from agents.confidence import ConfidenceKind
from agents.figures import RoundFigures, fate, round_figures, sure_and_right
from agents.transcript import Transcript
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.evaluation.discussing import fitted
from orchestrator.evaluation.methods import MethodOutcome
from orchestrator.evaluation.report.data import DiscussedRound, DiscussionResult
from orchestrator.evaluation.report.intervals import wilson
from orchestrator.evaluation.report.record import Interval
from orchestrator.evaluation.report.transcripts import by_interest
from router.calibration import expected_calibration_error

MAX_WIDTH = 40
"""Transcripts of one method that the page may show, those first in which something happened."""


def discussion_results(
    outcomes: Sequence[MethodOutcome], validation: Sequence[ExpertReply], kind: ConfidenceKind
) -> list[DiscussionResult]:
    """One a method that conferred; `validation`: the replies that confidences are calibrated on, may be none."""
    probability = fitted(validation, kind) if validation else None
    results = []
    for outcome in outcomes:
        held = outcome.transcripts
        if not held:
            continue
        rows = sure_and_right(held)
        stated = calibrated = None
        if rows:
            right = np.array([right for _, _, right in rows], np.float32)
            sure = np.array([confidence for _, confidence, _ in rows], np.float32)
            stated = expected_calibration_error(sure, right)
            if probability is not None:
                fit = np.array([probability(name, confidence) for name, confidence, _ in rows], np.float32)
                calibrated = expected_calibration_error(fit, right)
        results.append(
            DiscussionResult(
                method=outcome.name,
                rounds=[_round(figures, len(held)) for figures in round_figures(held)],
                fates=dict(Counter(found for one in held if (found := fate(one)) is not None)),
                stated_error=stated,
                calibrated_error=calibrated,
            )
        )
    return results


def chosen_transcripts(methods: Iterable[Sequence[Transcript]]) -> list[Transcript]:
    """A bounded choice of each method's: some of each outcome, above all what was rescued or corrupted."""
    return [one for held in methods for one in by_interest(held)[:MAX_WIDTH]]


def _round(figures: RoundFigures, questions: int) -> DiscussedRound:
    def interval(share: float) -> Interval:
        return wilson(round(share * questions), questions)

    return DiscussedRound(
        round=figures.round,
        discussed=figures.discussed,
        majority=interval(figures.majority),
        deciding=interval(figures.deciding),
        anyone=interval(figures.anyone),
        consensus=figures.consensus,
        to_right=figures.to_right,
        to_wrong=figures.to_wrong,
        abstentions=figures.abstentions,
        tokens=figures.tokens,
    )
