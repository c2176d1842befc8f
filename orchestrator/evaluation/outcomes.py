"""What became of each request for an answer: right, wrong, abstained, unreadable or failed. Five different things: only
the first two are the expert's answer, only the first three its reply, and a failure says nothing about its skill."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from agents.conversation import NOT_ASKED
from orchestrator.errors import CollegiumError, NoAnswer, no_answer
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.evaluation.report.data import OutcomeCounts

OutcomeKind = Literal["right", "wrong", "abstained", "unreadable", "failed"]
MAX_REASONS = 3
"""Different reasons that a line about an expert's failures names."""
_DECLINES = re.compile(
    r"(?:answer\s*[:=]\s*[\"'*]*)?"
    r"(?:(?:sorry|unfortunately),?\s+)?(?:but\s+)?"
    r"(?:i (?:do not|don[’']t|cannot|can[’']t|could not|couldn[’']t) (?:know|answer|say|tell|determine|decide)|"
    r"unknown|none|n/?a|"
    r"(?:i have )?no (?:answer|idea)|(?:i am|i[’']m)?\s*(?:not (?:sure|certain)|unsure|uncertain)|"
    r"(?:it |this )?(?:cannot|can[’']t|can not) be (?:determined|answered)|i abstain|abstain|pass)\b"
    r"(?: (?:this|that|it|the answer|the question|this question))?[\"'*.!\s]*",
    re.IGNORECASE,
)


def outcome_of(reply: ExpertReply) -> OutcomeKind:
    """What became of one expert's reply."""
    if not reply.judged:
        return "failed"
    if reply.right:
        return "right"
    if reply.reply.answer is not None:
        return "wrong"
    return "abstained" if declines(reply.reply.text) else "unreadable"


def declines(text: str) -> bool:
    """Whether a reply without an answer says that it has none: it is empty, or its last line says so."""
    lines = [line for line in text.strip().splitlines() if line.strip() and not _is_confidence(line)]
    return not lines or _DECLINES.fullmatch(lines[-1].strip()[:200]) is not None


def _is_confidence(line: str) -> bool:
    return line.strip().lower().startswith("confidence")


def counts(kinds: Iterable[OutcomeKind]) -> OutcomeCounts:
    """How often each kind occurs."""
    return OutcomeCounts(**{str(kind): number for kind, number in Counter(kinds).items()})


def failure_lines(replies: Mapping[tuple[str, str], ExpertReply]) -> list[str]:
    """One line per expert with failures: who answered nothing, who failed at times, and why; those who answered
    nothing come first."""
    asked: dict[str, list[ExpertReply]] = {}
    for (_, expert), reply in replies.items():
        asked.setdefault(expert, []).append(reply)
    silent, at_times = [], []
    for expert, own in asked.items():
        failed = [one for one in own if one.error is not None]
        if not failed:
            continue
        if len(failed) == len(own):
            silent.append(f"{expert} answered nothing: {reasons(failed)}")
        else:
            at_times.append(f"{expert} failed on {len(failed)} of {len(own)} questions: {reasons(failed)}")
    unscored = [one for one in replies.values() if one.unscored is not None]
    if unscored:
        first = unscored[0].unscored
        at_times.append(f"--score failed on {len(unscored)} of {len(replies)} replies: {first}")
    head = [f"{len(silent)} experts answered nothing; their cells are left out"] * (len(silent) > 1)
    return [*head, *silent, *at_times]


def reasons(failed: Sequence[ExpertReply]) -> str:
    """The commonest classes of failure, each with one message."""
    examples: dict[str, tuple[int, str]] = {}
    for one in failed:
        name, _, rest = (one.error or "").removeprefix(f"{NOT_ASKED}: ").partition(": ")
        stored = (name, rest) if name.isidentifier() else ("failed", one.error or "")
        kind, reason = (type(one.failure).__name__, one.error or "") if one.failure else stored
        number, message = examples.get(kind, (0, reason))
        examples[kind] = number + 1, message
    commonest = sorted(examples.items(), key=lambda item: -item[1][0])[:MAX_REASONS]
    return "; ".join(f"{kind} ({number}x): {' '.join(message.split())[:300]}" for kind, (number, message) in commonest)


def check_scored(replies: Mapping[tuple[str, str], ExpertReply]) -> None:
    """Raises `NoAnswer`, or the caller's own mistake, if every single reply failed: there is nothing to score."""
    if not replies or any(one.error is None for one in replies.values()):
        return
    first: dict[str, CollegiumError] = {}
    for (_, expert), one in replies.items():
        first.setdefault(expert, one.failure or NoAnswer(one.error or "failed"))
    raise no_answer(first)
