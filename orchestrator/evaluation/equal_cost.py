"""One model asked several times at the cost of a discussion: what the same money would have bought without talking."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

from agents.votes import majority
from orchestrator.evaluation.answering import judge
from orchestrator.evaluation.methods import Answer, MethodOutcome
from orchestrator.inference.expert import Expert
from orchestrator.inference.prices import price, total

MAX_SAMPLES = 64
Spent = Callable[[MethodOutcome], float | None]
"""A method's mean cost of a question in one unit; None: not known."""


def measures(experts: Mapping[str, Expert]) -> dict[str, Spent]:
    """Unit -> what a question costs in it. Replies from the ledger count as if they were generated now."""
    return {"calls": _calls, "tokens": _tokens, "dollars": lambda outcome: _dollars(outcome, experts)}


def samples_for(outcomes: Sequence[MethodOutcome], experts: Mapping[str, Expert]) -> int:
    """How many single replies the dearest discussion would have bought, in whichever unit buys most; `MAX_SAMPLES` at
    most."""
    held = [outcome for outcome in outcomes if outcome.transcripts]
    wanted = 1
    for unit, spent in measures(experts).items():
        costs = [cost for cost in map(spent, held) if cost is not None]
        single = 1.0 if unit == "calls" else _one_reply(held, spent)
        if costs and single:
            wanted = max(wanted, math.ceil(max(costs) / single))
    return min(MAX_SAMPLES, wanted)


def cost_points(
    outcomes: Sequence[MethodOutcome], sampled: MethodOutcome, experts: Mapping[str, Expert]
) -> list[MethodOutcome]:
    """Self-consistency with 1, 2, 4 ... of its samples; then, for each discussion, with as many as made as many calls
    (rounded), and as many as stay within its tokens, and within its dollars where all prices are known; at least 1."""
    max_turns, own = len(sampled.transcripts[0].turns), sampled.name
    found = [first(sampled, 1 << power, f"{own} x{1 << power}") for power in range(max_turns.bit_length())]
    for outcome in outcomes:
        if not any(one.rounds > 1 for one in outcome.transcripts):
            continue
        for unit, spent in measures(experts).items():
            limit = spent(outcome)
            costs = [spent(first(sampled, count, own)) for count in range(1, max_turns + 1)]
            if limit is None or any(cost is None for cost in costs):
                continue
            within = (
                round(limit)
                if unit == "calls"
                else max(
                    (n for n, cost in enumerate(costs, 1) if cost is not None and cost <= limit * (1 + 1e-9)), default=1
                )
            )
            count = max(1, min(max_turns, within))
            found.append(first(sampled, count, f"{own}, {unit} of {outcome.name}", outcome.name))
    return found


def first(sampled: MethodOutcome, count: int, name: str, equals: str = "") -> MethodOutcome:
    """Self-consistency's answers had it made `count` samples only."""
    answers = []
    for whole, one in zip(sampled.answers, sampled.transcripts, strict=True):
        used = (*whole.used, *whole.beside)[:count]
        verdict = majority([turn.answer for turn in one.turns[:count]], [turn.confidence for turn in one.turns[:count]])
        right, unscored = judge(whole.question, verdict.answer)
        answer = Answer(whole.question, verdict.answer, right, (), confidence=verdict.share, beside=used)
        answers.append(dataclasses.replace(answer, unscored=unscored))
    note = f"{sampled.transcripts[0].seats[0].model}, {count} samples"
    return MethodOutcome(name, tuple(answers), note, role="point", equals=equals)


def _one_reply(held: Sequence[MethodOutcome], spent: Spent) -> float | None:
    """Mean cost of one first reply in these discussions; None where it is not known, or nothing."""
    single = [
        reply
        for outcome in held
        for answer, one in zip(outcome.answers, outcome.transcripts, strict=True)
        for reply in (*answer.used, *answer.beside)[: len(one.in_round(0))]
    ]
    if not single:
        return None
    question = held[0].answers[0].question
    cost = spent(MethodOutcome("", (Answer(question, None, False, (), beside=tuple(single)),)))
    return cost / len(single) if cost else None


def _calls(outcome: MethodOutcome) -> float:
    if outcome.transcripts:  # a turn may rest on several calls
        return sum(one.calls for one in outcome.transcripts) / len(outcome.transcripts)
    return sum(len(one.used) + len(one.beside) for one in outcome.answers) / len(outcome.answers)


def _tokens(outcome: MethodOutcome) -> float:
    replies = [one.completion for answer in outcome.answers for one in (*answer.used, *answer.beside)]
    tokens = sum(one.prompt_tokens + one.completion_tokens for one in replies if one is not None)
    return tokens / len(outcome.answers)


def _dollars(outcome: MethodOutcome, experts: Mapping[str, Expert]) -> float | None:
    replies = [one for answer in outcome.answers for one in (*answer.used, *answer.beside) if one.completion]
    costs = total(
        price(experts[one.expert], one.completion) if one.expert in experts and one.completion else None
        for one in replies
    )
    return None if costs is None else costs / len(outcome.answers)
