"""How numbers and names are written, on the page and in the terminal alike."""

from __future__ import annotations

import unicodedata

from orchestrator.evaluation.report.record import Interval, MetricFigure

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"


def percent(fraction: float) -> str:
    """0.4567 -> "45.7%"."""
    return f"{100 * fraction:.1f}%"


def interval(estimate: Interval) -> str:
    """Bounds of an accuracy in percent: "42.1–49.3"."""
    return f"{100 * estimate.low:.1f}{DASH}{100 * estimate.high:.1f}" if estimate.n else DASH


def figure(metric: MetricFigure) -> str:
    """A metric to three figures with its interval: "0.213 (0.18–0.25)"; a dash where it is not defined."""
    if metric.value is None:
        return DASH
    bounds = DASH if metric.low is None or metric.high is None else f"{metric.low:.3g}{DASH}{metric.high:.3g}"
    return f"{metric.value:.3g} ({bounds})".replace("-", MINUS)


def metric_head(metric: MetricFigure) -> str:
    """A metric's name, and which end of it is the good one."""
    return f"{metric.name} ({'higher' if metric.higher_is_better else 'lower'} is better)"


def value(estimate: Interval) -> str:
    """An accuracy in percent, or a dash when nothing was measured."""
    return percent(estimate.value) if estimate.n else DASH


def points(difference: float) -> str:
    """A difference of accuracies in signed percentage points: "+3.2", "−0.4"."""
    return signed(100 * difference, 1)


def signed(number: float, decimals: int) -> str:
    """A number with its sign; none if it rounds to zero."""
    text = f"{abs(number):.{decimals}f}"
    if float(text) == 0:
        return text
    return f"{'+' if number > 0 else MINUS}{text}"


def probability(p: float | None) -> str:
    """A p-value: "0.031", "< 0.001", or a dash where there is none."""
    if p is None:
        return DASH
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def count(number: float) -> str:
    """12345 -> "12,345"."""
    return f"{number:,.0f}"


def seconds(duration: float) -> str:
    """A duration to about three figures: "0.32 s", "8.4 s", "84 s", "12 min 04 s", "3 h 07 min"."""
    if duration < 1:
        return f"{duration:.2f} s"
    if duration < 9.95:
        return f"{duration:.1f} s"
    whole = round(duration)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def plain(text: str) -> str:
    """`text` on one line, without control and direction-changing characters: safe to print in a terminal."""
    kept = (" " if character.isspace() else character for character in text)
    return "".join(character for character in kept if unicodedata.category(character) not in ("Cc", "Cf"))


def ratio(number: float) -> str:
    """How many times as much: "0.42", "3.7", "217"."""
    return f"{number:.2g}" if number < 9.95 else count(number)


def short(name: str, length: int = 60) -> str:
    """A name of at most `length` characters."""
    return name if len(name) <= length else f"{name[: length - 1]}…"


def clipped(text: str, length: int) -> str:
    """At most `length` characters, saying how many were left out."""
    if len(text) <= length:
        return text
    return f"{text[:length]}… [{count(len(text) - length)} characters more]"


def dollars(value: float) -> str:
    """US dollars with four digits that count: `$1.234`, `$0.0001234`."""
    return f"${value:,.2f}" if value >= 1000 else f"${value:.4g}"
