"""What talking is worth to a panel: it discusses validation questions, once per profile, and a rule is fitted on that.

The rule says how much a reply counts by what its agent did (`agents.trajectories`), and below which share of the first
vote a discussion pays. That is chosen on questions that the rest was not fitted on. Rules lie in `STATE/discussions`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from agents.answers import canonical
from agents.confidence import Calibrate, ConfidenceKind
from agents.question import AnswerKind, Question
from agents.trajectories import MoveOdds, TalkRule, Trajectory, fit_moves
from agents.transcript import Transcript, Turn
from agents.votes import Odds, log_odds_weights, options_of
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.evaluation.discussing import fitted, fitted_odds
from orchestrator.evaluation.methods.method import Setting
from router.trial import FOLDS

FORMAT = 1
LEAST_DISCUSSIONS = 20
"""With fewer discussed questions that have a gold answer nothing is fitted."""
SHARES = (*(0.05 * step for step in range(2, 20)), 1.01)
"""Shares of the first vote below which a discussion may pay."""
SURE = 1.0
"""Standard errors by which gated talk must have been right more often than the first vote."""
Discuss = Callable[[Sequence[Question]], Awaitable[list[Transcript]]]
"""Questions -> the panel's discussions of them, none left out."""
_log = logging.getLogger("collegium")
_fitting: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Path, asyncio.Task[TalkRule | None]]] = WeakKeyDictionary()


def file_of(setting: Setting, models: Sequence[str]) -> Path:
    """Where the rule of this panel (the expert in each seat), this profile and these options is stored."""
    options = setting.options.discussing.model_dump(mode="json", exclude={"panel", "lead", "threshold", "samples"})
    replies = [(one.question.id, one.expert, one.reply.answer or "", one.right) for one in setting.validation.values()]
    asked = [
        FORMAT,
        [(expert, setting.experts[expert].fingerprint) for expert in models],
        options,
        sorted(replies),
        repr(setting.fitting or setting.sampling),
    ]
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:32]
    return Path(setting.context.config.state).expanduser() / "discussions" / f"{digest}.json"


async def talk_rule(setting: Setting, models: Sequence[str], panel: Sequence[str], discuss: Discuss) -> TalkRule | None:
    """The stored rule, else one that is fitted now on up to `talk_questions` discussions: once, however many callers
    wait, and to the end, even if they leave. None where there are too few questions to know, and in a chat, which asks
    nobody for it, where none is stored. `models`: the
    expert in each seat; `panel`: whose votes the first odds are fitted on."""
    file = file_of(setting, models)
    running = _fitting.setdefault(asyncio.get_running_loop(), {})
    if file not in running:
        if file.exists():
            try:
                return await asyncio.to_thread(_load, file)
            except ValueError as error:
                _log.warning("%s; it is fitted anew", error)
        if setting.fitting is not None or not setting.options.talk_questions:
            return None
        running[file] = asyncio.create_task(_fitted(setting, panel, discuss, file))
        running[file].add_done_callback(lambda _: running.pop(file, None))
    return await asyncio.shield(running[file])


async def _fitted(setting: Setting, panel: Sequence[str], discuss: Discuss, file: Path) -> TalkRule | None:
    known = {one.question.id: one.question for one in setting.validation.values() if one.question.answer is not None}
    questions = [one for one in known.values() if one.kind != "open" or one.choices]
    count = min(len(questions), setting.options.talk_questions)
    places = np.unique(np.linspace(0, len(questions) - 1, count).round())
    chosen = [questions[int(place)] for place in places] if questions else []
    if len(chosen) < LEAST_DISCUSSIONS:
        return None
    held = await discuss(chosen)
    found = await asyncio.to_thread(
        fit_talk, held, list(setting.validation.values()), panel, setting.options.confidence, setting.seed
    )
    try:
        await asyncio.to_thread(_save, found, file)
    except OSError as error:
        _log.warning("%s: what talking is worth is not stored: %s", file, error)
    return found


def fit_talk(
    held: Sequence[Transcript],
    validation: Sequence[ExpertReply],
    panel: Sequence[str],
    kind: ConfidenceKind,
    seed: int = 0,
) -> TalkRule:
    """The rule from discussions without a gate. `validation`: first replies to validation questions, on which weights
    are fitted."""
    golds = [_gold(one.question) for one in held]
    texts = list(dict.fromkeys(one.question.question for one in held))
    fold = dict(zip(np.random.default_rng(seed).permutation(len(texts)).tolist(), range(len(texts)), strict=True))
    part = {text: fold[place] % FOLDS for place, text in enumerate(texts)}
    parts = np.array([part[one.question.question] for one in held])
    trajectories: list[Trajectory | None] = [None] * len(held)
    for number in range(FOLDS):
        others = [one for one in validation if part.get(one.question.question) != number]
        calibrate, odds = fitted(others, kind), fitted_odds(others, panel, kind)
        for place in np.flatnonzero(parts == number).tolist():
            trajectories[place] = trajectory_of(held[place], calibrate, odds)
    whole = [one for one in trajectories if one is not None]
    share, gain = np.zeros(len(held)), np.zeros(len(held))
    for number in range(FOLDS):
        outside = np.flatnonzero(parts != number).tolist()
        moves = fit_moves([whole[place] for place in outside], [golds[place] for place in outside])
        for place in np.flatnonzero(parts == number).tolist():
            first, after = whole[place].vote(MoveOdds()), whole[place].vote(moves)
            share[place] = first.share
            gain[place] = float(after.answer == golds[place]) - float(first.answer == golds[place])
    below, gained = worth(share, gain)
    return TalkRule(fit_moves(whole, golds), below, len(held), gained)


def worth(share: NDArray[np.float64], gain: NDArray[np.float64]) -> tuple[float, float]:
    """(share of the first vote below which talk pays, mean gain over all questions): of `SHARES` the one whose gain
    less `SURE` standard errors is greatest; 0 where that is never above 0. `gain`: 1 where only the vote after talk is
    right, -1 where only the first one is."""
    best, found = 0.0, (0.0, 0.0)
    for below in SHARES:
        gated = np.where(share < below, gain, 0.0)
        bound = float(gated.mean() - SURE * gated.std() / np.sqrt(len(gated)))
        if bound > best:
            best, found = bound, (below, float(gated.mean()))
    return found


def trajectory_of(transcript: Transcript, calibrate: Calibrate, odds: Odds) -> Trajectory:
    """First and last replies of each agent of the panel, weighed as independent ones."""
    panel = [place for place, seat in enumerate(transcript.seats) if not seat.role]
    first: dict[int, Turn] = {}
    last: dict[int, Turn] = {}
    for turn in transcript.turns:
        first.setdefault(turn.seat, turn)
        if turn.error is None or turn.seat not in last:
            last[turn.seat] = turn
    seats = [seat for seat in panel if seat in first]
    options = options_of(transcript.question)

    def weights(turns: Mapping[int, Turn]) -> list[float]:
        sure = [calibrate(transcript.seats[seat].model, turns[seat].confidence) for seat in seats]
        return log_odds_weights(sure, odds, options)

    answers = [[turns[seat].answer for seat in seats] for turns in (first, last)]
    return Trajectory(answers[0], answers[1], weights(first), weights(last), options)


def _gold(question: Question) -> str | None:
    kind: AnswerKind = "choice" if question.choices else question.kind
    return None if question.answer is None else canonical(question.answer, kind, question.choices)


def _save(rule: TalkRule, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    body = {"format": FORMAT, **dataclasses.asdict(rule), "moves": rule.moves._asdict()}
    handle, partial = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    with open(handle, "w", encoding="utf-8") as opened:
        json.dump(body, opened, indent=1)
    os.replace(partial, file)


def _load(file: Path) -> TalkRule:
    """Raises ValueError naming the file for anything but a stored rule."""
    try:
        body = json.loads(file.read_text(encoding="utf-8"))
        if body["format"] != FORMAT:
            raise ValueError(f"format {body['format']!r} is not {FORMAT}")
        moves = MoveOdds(**{name: float(value) for name, value in body["moves"].items()})
        return TalkRule(moves, float(body["below"]), int(body["fitted"]), float(body["gain"]))
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"{file}: not a stored rule of talk: {error!s}") from error
