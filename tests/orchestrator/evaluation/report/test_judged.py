"""The judges' findings in the terminal: counts, rates, and what could not be read."""

from __future__ import annotations

from rich.console import Console

from orchestrator.evaluation.report.judged import JudgedPair
from orchestrator.evaluation.report.record import Interval
from orchestrator.evaluation.report.terminal import judged_table


def pair(rate: Interval | None) -> JudgedPair:
    return JudgedPair(
        method="mixture", against="base", judges=["j"], questions=10, judged=8, wins=5, ties=1, losses=2, unreadable=3,
        failed=1, calls=20, win_rate=rate, length_controlled=rate,
    )  # fmt: skip


def text(*judged: JudgedPair) -> str:
    console = Console(width=200, record=True, file=None)
    with console.capture() as capture:
        console.print(judged_table(judged))
    return capture.get()


def test_what_was_found_and_what_could_not_be_read() -> None:
    shown = text(pair(Interval(value=0.6875, low=0.4, high=0.9, n=8)), pair(None))
    assert "5/1/2" in shown
    assert "68.8%" in shown
    assert "3 unreadable, 0 by order, 1 failed of 20" in shown


def test_how_often_judges_agree_stands_below() -> None:
    rate = Interval(value=0.6875, low=0.4, high=0.9, n=8)
    agreed = pair(rate).model_copy(update={"between_judges": 0.75, "labelled": 6, "agreement": 0.5})
    assert "judges agree with one another on 75%, with a person on 50% of 6 questions" in text(agreed)
    assert "agree" not in text(pair(rate))
