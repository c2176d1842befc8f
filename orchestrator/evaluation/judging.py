"""Which of two methods answers open questions better, by judges that read both replies in both orders.

The win rate counts a tie as half. Judges like long replies: the length-controlled rate is what a logistic fit over the
difference of lengths predicts for replies of equal length (AlpacaEval 2, https://arxiv.org/abs/2404.04475). A reply
that is the same in both is a tie, and no judge is asked. Verdicts that cannot be read, and those that prefer the same
place in both orders, are counted and left out: a judge that only follows the order finds nothing, not a draw.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from agents.pairwise import VERDICT_SCHEMA, Verdict, compare, follows_order, parse_verdict, points
from agents.question import CHAT, Question
from orchestrator.config import StrictModel
from orchestrator.errors import BadInput, CollegiumError
from orchestrator.evaluation.methods import MethodOutcome
from orchestrator.evaluation.report.judged import JudgedPair
from orchestrator.evaluation.report.record import Interval
from orchestrator.inference.expert import Expert
from orchestrator.inference.pool import Pool
from orchestrator.inference.request import Completion, Sampling

TOKENS = 256
"""Of a judge's verdict with its reason."""
RESAMPLES = 2000
RIDGE = 0.5
"""How strongly the logistic fit is held at no difference and no influence of length: half a question's worth."""
MAX_LABELS = 100_000


@dataclass(frozen=True)
class Pair:
    """Two methods' replies to one question."""

    id: str
    request: str
    first: str
    second: str


class PersonLabel(StrictModel):
    """A person's verdict on one pair: which method's reply is better."""

    id: str = Field(min_length=1, max_length=512)
    better: str = Field(min_length=1, max_length=200, description="A method's name, or tie.")


@dataclass(frozen=True)
class Judged:
    """What each judge found: pair -> points of the first method, 0 to 1; None: unreadable, none, or by order."""

    points: Mapping[str, Sequence[float | None]]
    unreadable: int
    failed: int
    calls: int
    ordered: int = 0
    """Verdicts that prefer the same place in both orders: two for each such pair and judge."""


async def judge_pairs(pool: Pool, judges: Sequence[Expert], pairs: Sequence[Pair], seed: int) -> Judged:
    """Put every pair in both orders to every judge, all at once. What is one judge's failure is counted; a failed store
    is raised."""

    async def asked(judge: Expert, pair: Pair, turned: bool) -> Verdict | Literal["failed"] | None:
        first, second = (pair.second, pair.first) if turned else (pair.first, pair.second)
        messages = [(one["role"], one["content"]) for one in compare(pair.request, first, second)]
        structured = json.dumps({"json": VERDICT_SCHEMA}, sort_keys=True)
        with pool.conversation(f"judge/{pair.id}", seed):
            request = pool.request(judge, messages, Sampling(max_tokens=TOKENS, structured=structured))
        (outcome,) = await pool.ask([(request, judge)])
        if isinstance(outcome, CollegiumError) and outcome.elsewhere:
            return "failed"
        if isinstance(outcome, Exception):
            raise outcome
        assert isinstance(outcome, Completion), outcome
        return parse_verdict(outcome.text)

    wanted = [
        (judge, pair, turned)
        for judge in judges
        for pair in pairs
        if pair.first.strip() != pair.second.strip()
        for turned in (False, True)
    ]
    verdicts = await asyncio.gather(*(asked(*one) for one in wanted))
    found = {(judge.name, pair.id, turned): one for (judge, pair, turned), one in zip(wanted, verdicts, strict=True)}
    scored: dict[str, list[float | None]] = {}
    ordered = 0
    for judge in judges:
        rows: list[float | None] = []
        for pair in pairs:
            if (judge.name, pair.id, False) not in found:
                rows.append(0.5)
                continue
            both = [found[judge.name, pair.id, turned] for turned in (False, True)]
            read: list[Verdict | None] = [None if one == "failed" else one for one in both]
            rows.append(points(*read))
            ordered += 2 * follows_order(*read)
        scored[judge.name] = rows
    unreadable, failed = sum(one is None for one in verdicts), sum(one == "failed" for one in verdicts)
    return Judged(scored, unreadable, failed, len(verdicts), ordered)


def pair_result(
    first: str, second: str, pairs: Sequence[Pair], judged: Judged, labels: Mapping[str, str], seed: int
) -> JudgedPair:
    """The figures of one comparison: `first` against `second`."""
    by_pair = [[row[place] for row in judged.points.values()] for place in range(len(pairs))]
    kept = [(pair, [one for one in row if one is not None]) for pair, row in zip(pairs, by_pair, strict=True)]
    kept = [(pair, row) for pair, row in kept if row]
    scores = np.array([float(np.mean(row)) for _, row in kept])
    lengths = np.array([len(pair.first) - len(pair.second) for pair, _ in kept], float)
    agreed = [_label(pair, labels, first, second, float(np.mean(row))) for pair, row in kept if pair.id in labels]
    return JudgedPair(
        method=first,
        against=second,
        judges=list(judged.points),
        questions=len(pairs),
        judged=len(kept),
        wins=int((scores > 0.5).sum()),
        ties=int((scores == 0.5).sum()),
        losses=int((scores < 0.5).sum()),
        unreadable=judged.unreadable,
        failed=judged.failed,
        calls=judged.calls,
        ordered=judged.ordered,
        win_rate=_interval(scores, lengths, seed, controlled=False) if len(kept) else None,
        length_controlled=_interval(scores, lengths, seed, controlled=True) if len(kept) else None,
        between_judges=_between(list(judged.points.values())),
        labelled=len(agreed),
        agreement=sum(agreed) / len(agreed) if agreed else None,
    )


def read_labels(path: Path, methods: Sequence[str]) -> dict[str, str]:
    """A person's verdicts: JSON Lines of `id` and `better` (a method's name, or tie). Raises `BadInput`, naming file,
    line and key."""
    found: dict[str, str] = {}
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read: {error}") from error
    if len(lines) > MAX_LABELS:
        raise BadInput(f"{path}: more than {MAX_LABELS} lines")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            label = PersonLabel.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BadInput(f"{path}:{number}: {where + ': ' if where else ''}{first['msg']}") from error
        if label.better not in (*methods, "tie"):
            raise BadInput(f"{path}:{number}: better: {label.better!r} is none of {', '.join(methods)}, tie")
        if label.id in found:
            raise BadInput(f"{path}:{number}: id: {label.id!r} stands twice")
        found[label.id] = label.better
    return found


def length_controlled(scores: NDArray[np.float64], lengths: NDArray[np.float64]) -> float:
    """The win rate at equal lengths. scores [pairs], 0 to 1; lengths [pairs], characters of the first reply less those
    of the second. Logistic: an intercept, and tanh of the difference in its standard deviations."""
    spread = float(lengths.std())
    x = np.tanh(lengths / spread) if spread > 0 else np.zeros_like(lengths)
    design = np.stack([np.ones_like(x), x], 1)
    weights = np.zeros(2)
    for _ in range(50):  # Newton; the penalty keeps it convex where all are won
        p = 1 / (1 + np.exp(-(design @ weights)))
        gradient = design.T @ (scores - p) - RIDGE * weights
        curvature = (design * (p * (1 - p))[:, None]).T @ design + RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        weights += np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-9:
            break
    return float(1 / (1 + np.exp(-weights[0])))


def _interval(scores: NDArray[np.float64], lengths: NDArray[np.float64], seed: int, *, controlled: bool) -> Interval:
    """With its percentile bootstrap over questions; of a rate at its bound, as wide as the rule of three has it."""
    draws = np.random.default_rng(seed).integers(0, len(scores), (RESAMPLES if not controlled else 400, len(scores)))
    if controlled:
        value = length_controlled(scores, lengths)
        drawn = np.array([length_controlled(scores[one], lengths[one]) for one in draws])
    else:
        value, drawn = float(scores.mean()), scores[draws].mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    if np.ptp(scores) == 0 and scores[0] in (0.0, 1.0):
        reach = min(1.0, 3 / len(scores))
        low, high = (1 - reach, 1.0) if scores[0] else (0.0, reach)
    return Interval(value=value, low=float(min(low, value)), high=float(max(high, value)), n=len(scores))


def _label(pair: Pair, labels: Mapping[str, str], first: str, second: str, score: float) -> bool:
    found = first if score > 0.5 else second if score < 0.5 else "tie"
    return labels[pair.id] == found


def _between(rows: Sequence[Sequence[float | None]]) -> float | None:
    """Share of pairs of judges that agree on a question, over all that both could judge; None for a single judge."""

    def side(score: float) -> int:
        return (score > 0.5) - (score < 0.5)

    same: list[bool] = []
    for place, one in enumerate(rows):
        for other in rows[place + 1 :]:
            same += [side(a) == side(b) for a, b in zip(one, other, strict=True) if a is not None and b is not None]
    return sum(same) / len(same) if same else None


class JudgeOptions(StrictModel):
    """Who judges a run's open answers."""

    judge: list[str] = Field(
        default_factory=list,
        description="Experts that judge open answers, pairwise and in both orders; several with commas.",
    )
    judge_against: str | None = Field(
        default=None, description="With judge: the method that all others are held against (default: the first)."
    )
    judge_labels: str | None = Field(
        default=None, description="With judge: a person's verdicts, JSON Lines of id and better (a method, or tie)."
    )

    @model_validator(mode="after")
    def _with_judges(self) -> Self:
        if not self.judge and (self.judge_against or self.judge_labels):
            raise ValueError(f"{'judge_against' if self.judge_against else 'judge_labels'}: needs judge")
        return self


@dataclass(frozen=True)
class Judging:
    """Who judges what."""

    judges: tuple[Expert, ...]
    against: str
    labels: Mapping[str, str]


def judging_of(options: JudgeOptions, methods: Sequence[str], experts: Mapping[str, Expert]) -> Judging | None:
    """What a request wants judged; None: nothing. Raises `BadInput` for names and files that there are not."""
    judges, against = options.judge, options.judge_against
    if not judges:
        return None
    for name in judges:
        if name not in experts:
            raise BadInput(f"judge: no expert {name!r} among those asked: {', '.join(experts)}")
    if len(set(methods)) < 2:
        raise BadInput("judge: replies are compared in pairs: name two methods or more")
    if against is not None and against not in methods:
        raise BadInput(f"judge_against: {against!r} is none of the methods {', '.join(methods)}")
    given = options.judge_labels
    read = read_labels(Path(given).expanduser(), methods) if given else {}
    return Judging(tuple(experts[name] for name in dict.fromkeys(judges)), against or methods[0], read)


def as_chat(question: Question) -> Question:
    """An open question without a gold answer and a scorer is asked as it is, without forms of an examination."""
    plain = question.kind == "open" and not question.choices and question.answer is None and not question.scorer
    return question.model_copy(update={"task": CHAT}) if plain else question


async def judged_methods(
    pool: Pool, judging: Judging, outcomes: Sequence[MethodOutcome], seed: int
) -> list[JudgedPair]:
    """Every method against one of them, on the questions of all. Raises `BadInput` where that one has no answers."""
    known = {outcome.name: outcome for outcome in outcomes if outcome.role == "method"}
    if judging.against not in known:
        raise BadInput(f"judge_against: {judging.against!r} gives no single answer; there are {', '.join(known)}")
    base = known.pop(judging.against)
    found = []
    for name, outcome in known.items():
        pairs = [
            Pair(one.question.id, one.question.question, first, second)
            for one, first, second in zip(outcome.answers, replies_of(outcome), replies_of(base), strict=True)
        ]
        labels = {id: better for id, better in judging.labels.items() if better in (name, judging.against, "tie")}
        judged = await judge_pairs(pool, judging.judges, pairs, seed)
        found.append(pair_result(name, judging.against, pairs, judged, labels, seed))
    return found


def replies_of(outcome: MethodOutcome) -> list[str]:
    """What each question's asker would read: the team's reply, else the reply that has the answer; none: empty."""
    texts = []
    for place, answer in enumerate(outcome.answers):
        if outcome.transcripts and outcome.transcripts[place].reply:
            texts.append(outcome.transcripts[place].reply)
            continue
        replied = [one for one in answer.used if one.error is None]
        agreeing = [one for one in replied if one.reply.answer == answer.answer] or replied
        texts.append(agreeing[0].reply.text if agreeing else "")
    return texts
