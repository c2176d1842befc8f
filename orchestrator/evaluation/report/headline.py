"""The one sentence a report opens with: what beat what, by how much, how surely, at which cost."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.evaluation.report.data import Comparison, MethodResult, RunReport, cost_per_question, in_money
from orchestrator.evaluation.report.formats import count, dollars, percent, plain, points, probability, ratio, value
from orchestrator.evaluation.report.intervals import unpaired_difference
from orchestrator.evaluation.report.matrix import expert_totals, oracle_total

IntervalText = tuple[str, bool]
"""(text, whether it is a name to set off)."""


@dataclass(frozen=True, slots=True)
class Headline:
    """The report's claim and the figures that support it."""

    claim: tuple[IntervalText, ...]
    evidence: str

    def __str__(self) -> str:
        return plain("".join(text for text, _ in self.claim) + " " + self.evidence).strip()


def headline(report: RunReport) -> Headline:
    """The report's first comparison; else its best method against the reference or, failing that, the runner-up.
    Bounds and points of a cost curve are no methods: they win nothing.

    A difference whose interval holds zero, or whose test leaves it open, is not called a win. With fewer than two
    methods the sentence says what the one method, or the best expert of the matrix, reached.
    """
    comparison, paired = _comparison(report)
    if comparison is not None:
        return _compared(report, comparison, paired)
    if contenders := _contenders(report):
        return _alone(report, contenders[0])
    return _experts(report)


def _comparison(report: RunReport) -> tuple[Comparison | None, bool]:
    methods = {result.method: result for result in report.methods}
    for given in report.comparisons:
        if given.method in methods and given.baseline in methods:
            return given, True
    ranked = sorted(_contenders(report), key=lambda result: -result.overall.value)
    if len(ranked) < 2:
        return None, False
    winner = ranked[0]
    other = next((result for result in ranked[1:] if result.role == "reference"), ranked[1])
    difference = unpaired_difference(winner.overall, other.overall)
    return Comparison(method=winner.method, baseline=other.method, difference=difference), False


def _contenders(report: RunReport) -> list[MethodResult]:
    return [result for result in report.methods if result.role in ("method", "reference")]


def _compared(report: RunReport, comparison: Comparison, paired: bool) -> Headline:
    methods = {result.method: result for result in report.methods}
    one, other = methods[comparison.method], methods[comparison.baseline]
    gap = comparison.difference
    size, direction = f"{abs(100 * gap.value):.1f}", "more" if gap.value > 0 else "fewer"
    if not comparison.sure:
        claim: tuple[IntervalText, ...] = (
            (one.method, True),
            (f" ({value(one.overall)}) and ", False),
            (other.method, True),
            (f" ({value(other.overall)}) cannot be told apart.", False),
        )
    else:
        claim = (
            (one.method, True),
            (f" answers {value(one.overall)} right, {size} points {direction} than ", False),
            (other.method, True),
            (f" ({value(other.overall)}).", False),
        )
    over = "paired over" if paired else "from the two intervals, over"
    test = "" if comparison.p is None else f" (p {_p(comparison.p)})"
    evidence = (
        f"Difference {points(gap.value)} points, 95% interval {points(gap.low)} to {points(gap.high)}{test}, "
        f"{over} {count(gap.n)} {report.split} questions."
    )
    return Headline(claim, f"{evidence}{_price(one, other)}")


def _p(p: float) -> str:
    text = probability(p)
    return text if text.startswith("<") else f"= {text}"


def _price(one: MethodResult, other: MethodResult) -> str:
    if not (one.overall.n and other.overall.n and one.cost.tokens and other.cost.tokens):
        return ""
    if in_money((one, other)):
        spent, base = (cost_per_question(result, True) or 0.0 for result in (one, other))
        times = f"{ratio(spent / base)} times as much" if base and not 0.95 < spent / base < 1.05 else ""
        times = times or ("as much" if base else "more")
        return f" It costs {times}: {dollars(spent)} per 1,000 questions against {dollars(base)}."
    spent, base = one.cost.tokens / one.overall.n, other.cost.tokens / other.overall.n
    amount = "as many tokens" if 0.95 < spent / base < 1.05 else f"{ratio(spent / base)} times the tokens"
    return f" It costs {amount}: {count(spent)} per question against {count(base)}."


def _alone(report: RunReport, result: MethodResult) -> Headline:
    claim = ((result.method, True), (f" answers {value(result.overall)} right.", False))
    bounds = f"95% interval {percent(result.overall.low)} to {percent(result.overall.high)}"
    evidence = f"{bounds}, over {count(result.overall.n)} {report.split} questions."
    totals = expert_totals(report.matrix) if report.matrix and report.matrix.split == report.split else {}
    if totals:
        expert = max(totals, key=lambda name: totals[name].value)
        evidence += f" The best single expert, {expert}, reaches {value(totals[expert])}."
    return Headline(claim, evidence)


def _experts(report: RunReport) -> Headline:
    if report.matrix is None or not report.matrix.experts or not report.matrix.tasks:
        return Headline(((report.title, True),), "No method and no expert was measured in this run.")
    totals = expert_totals(report.matrix)
    expert = max(totals, key=lambda name: totals[name].value)
    oracle = oracle_total(report.matrix)
    claim: tuple[IntervalText, ...] = (
        (expert, True),
        (f" is the best single expert, with {value(totals[expert])} right.", False),
    )
    gap = oracle.value - totals[expert].value
    evidence = f"Choosing the best expert of each task would reach {value(oracle)}, {points(gap)} points."
    return Headline(claim, evidence)
