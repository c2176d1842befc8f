"""Real experts of the demo zoo confer on mixed-skill questions: what votes, confidences and talking are worth.

    python -m benchmarks.discussion [--questions 400] [--fit-questions 200] [--rounds 1] [--seed 0] [--ungated]

Everything is fitted on validation questions and reported on test questions, by the product's own `run`. Replies are
kept in --state between calls: a run that was cut short goes on, and what is there already is only counted.

With `--ungated`, reconcile is also held on every question and its later replies are counted as independent, as it was
before it learned what talk is worth.

`panel-twice` is what talking is measured against at an equal number of calls: every expert answers, and answers once
more at temperature 0.7 without having read anything; all replies vote.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from agents.conversation import Conversation
from agents.figures import RoundFigures, fate, round_figures, sure_and_right
from benchmarks.machine import conditions, write_result
from orchestrator import Collegium
from orchestrator.evaluation.answer import RunResult
from orchestrator.evaluation.discussing import SAMPLING_TEMPERATURE, fitted
from orchestrator.evaluation.report.formats import probability
from orchestrator.evaluation.report.intervals import mcnemar, paired_difference
from orchestrator.evaluation.report.record import Interval
from router.calibration import expected_calibration_error

METHODS = ["each", "best", "vote", "weighted-vote", "mixture", "escalate", "reconcile", "self-consistency"]
TWICE = "panel-twice"


async def twice(conversation: Conversation) -> None:
    """As many calls as the panel's first replies and one round of discussion, without a word between the experts."""
    panel = [conversation.agent(seat) for seat in conversation.panel]
    await conversation.open()
    for agent in panel:
        chat: Any = agent.chat
        warm = chat.model_copy(update={"temperature": SAMPLING_TEMPERATURE})
        conversation.seat(dataclasses.replace(agent, chat=warm))
    await conversation.open(conversation.panel[len(panel) :])
    conversation.vote("log-odds")


def formatted(interval: Interval) -> str:
    return f"{100 * interval.value:.1f} ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def calibration(result: RunResult, kind: str) -> tuple[float, float]:
    """Expected calibration error of the panel's first replies, as they come and calibrated on validation questions."""
    assert result.profile is not None
    held = next(outcome.transcripts for outcome in result.outcomes if outcome.name == "weighted-vote")
    rows = sure_and_right(held)
    probability = fitted(list(result.profile.replies.values()), kind)  # type: ignore[arg-type]
    right = np.array([right for _, _, right in rows], np.float32)
    raw = np.array([confidence for _, confidence, _ in rows], np.float32)
    fit = np.array([probability(name, confidence) for name, confidence, _ in rows], np.float32)
    return expected_calibration_error(raw, right), expected_calibration_error(fit, right)


def report(figures: list[RoundFigures]) -> list[tuple[str, str, str]]:
    return [
        (
            f"reconcile, after round {one.round} ({one.discussed} questions had it)",
            f"majority {one.majority:.1%}, log-odds {one.deciding:.1%}, any agent {one.anyone:.1%}, "
            f"mean agent {one.mean_agent:.1%}, consensus {one.consensus:.1%}",
            f"answers wrong to right {one.to_right}, right to wrong {one.to_wrong}, abstentions {one.abstentions}",
        )
        for one in figures
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=400)
    parser.add_argument("--fit-questions", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--samples", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0, help="of the questions, validation and test")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--kinds", default="stated,tokens", help="of confidence")
    parser.add_argument("--name", default="discussion", help="of the result's file")
    parser.add_argument("--state", default=str(Path(tempfile.gettempdir()) / "collegium-discussion"))
    parser.add_argument("--experts", default="", help="those that are asked, with commas (default: all)")
    parser.add_argument("--ungated", action="store_true")
    parser.add_argument("--cpus", type=float)
    given = parser.parse_args()
    noted, methods = conditions(), given.methods.split(",")
    table: list[tuple[str, str, str]] = []
    raw: dict[str, object] = {"conditions": noted}
    config = {"zoo": "demo", "state": given.state, "workers": {"in_process": True, "cpus": given.cpus}}
    with Collegium({**config, "discussions": {TWICE: "benchmarks.discussion:twice"}}) as collegium:
        for kind in given.kinds.split(","):
            asked: dict[str, Any] = {
                "task": "mixed",
                "questions": given.questions,
                "fit_questions": given.fit_questions,
                "experts": [name for name in given.experts.split(",") if name],
                "rounds": given.rounds,
                "samples": given.samples,
                "confidence": kind,
                "seed": given.seed,
                "logprobs": "tokens" in given.kinds,
            }
            result = asyncio.run(collegium.arun(**asked, methods=methods))
            table += rows(result, kind)
            if given.ungated:
                before = asyncio.run(collegium.arun(**asked, methods=["weighted-vote", "reconcile"], talk_questions=0))
                table += [(f"ungated, counted as independent: {label}", *rest) for label, *rest in rows(before, kind)]
            raw[kind] = result.report.model_dump(mode="json", exclude={"samples", "timeline", "matrix", "transcripts"})
            table.append((f"loads, {kind}", str(len(result.report.timeline)), ""))
            write_result(given.name, "Discussions of the demo zoo", table, raw)


def rows(result: RunResult, kind: str) -> list[tuple[str, str, str]]:
    right = {o.name: [float(one.right) for one in o.answers] for o in result.outcomes}
    found = [
        (
            f"{method.method}, {kind} ({method.note})",
            f"{formatted(method.overall)} %",
            f"{method.cost.calls / method.overall.n:.1f} calls, "
            f"{method.cost.tokens / method.overall.n:.0f} tokens a question",
        )
        for method in result.report.methods
    ]
    pairs = [
        ("weighted-vote", "best"),
        ("weighted-vote", "vote"),
        ("reconcile", "weighted-vote"),
        ("reconcile", "vote"),
    ]
    pairs += [("reconcile", "best"), ("reconcile", "self-consistency"), ("escalate", "weighted-vote")]
    pairs += [("reconcile", TWICE), (TWICE, "weighted-vote"), ("weighted-vote", "self-consistency")]
    for one, other in pairs:
        if one in right and other in right:
            difference = paired_difference(right[one], right[other])
            p = probability(mcnemar(right[one], right[other]))
            found.append(
                (
                    f"{one} minus {other}, {kind}, paired",
                    f"{formatted(difference)} points",
                    f"exact McNemar test: p {p}",
                )
            )
    if "weighted-vote" in right:
        before, after = calibration(result, kind)
        found.append((f"calibration error of {kind} confidences, before and after", f"{before:.3f}, {after:.3f}", ""))
    for outcome in result.outcomes:
        if outcome.name == "reconcile":
            found += report(round_figures(outcome.transcripts))
            fates = [fate(one) for one in outcome.transcripts]
            names = ("rescued", "corrupted", "kept right", "kept wrong")
            found.append(("reconcile: questions", ", ".join(f"{fates.count(name)} {name}" for name in names), ""))  # type: ignore[arg-type]
    return found


if __name__ == "__main__":
    main()
