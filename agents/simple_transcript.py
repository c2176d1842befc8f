"""Transcripts in a simple form: one JSON object per reply, `{"question", "agent", "round", "reply", "answer"}`.

ReConcile's and DyLAN's records are read too (`agents.recorded_discussions`).

What other programs record is soon written so. Lines of one discussion stand together. `answer` may be left out: then
the reply is read. Beside these keys: `id`, `task`, `choices`, `kind`, `gold` of the question, `model` of the agent,
`confidence` from 0 to 1. Every agent is taken to have read all replies of the round before.
"""

from __future__ import annotations

import gzip
import itertools
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agents import recorded_discussions, transcript, votes
from agents.answers import GoldError, canonical, gold
from agents.question import AnswerKind, Question
from agents.reply import parse_reply
from agents.transcript import TEXT_LIMIT, Seat, Tally, Transcript, TranscriptError, TranscriptMessage, Turn, Vote

DISCUSSION = "recorded"
Bad = Callable[[TranscriptError], None]


class TranscriptReply(BaseModel):
    """One line: one reply of one agent."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    question: str = Field(min_length=1, max_length=100_000)
    agent: str = Field(min_length=1, max_length=200)
    round: int = Field(default=0, ge=0, le=1_000)
    reply: str
    answer: str | None = None
    gold: str | None = None
    id: str | None = Field(default=None, min_length=1, max_length=512)
    task: str = "open"
    kind: AnswerKind | None = None
    choices: dict[str, str] | None = None
    model: str | None = Field(default=None, max_length=500)
    confidence: float | None = Field(default=None, ge=0, le=1)

    @property
    def key(self) -> str:
        """What the lines of one discussion have in common."""
        return self.id if self.id is not None else self.question


def read(path: Path, limit: int | None = None, bad: Bad | None = None) -> Iterator[Transcript]:
    """The transcripts of a file in the full or in the simple form, or another project's, whichever its first line has.

    `limit`: transcripts at most. With `bad`, a line that is none is handed to it as an error, and reading goes on.
    Raises TranscriptError naming file and line.
    """
    if path.suffix in (".pkl", ".pickle"):
        raise TranscriptError(
            f"{path}: pickle files are not read, as they can run code: write the records as JSON in the program "
            f"that made them"
        )
    body = _first(path)
    if isinstance(body, dict) and "seats" not in body and {"agent", "reply"} & body.keys():
        yield from itertools.islice(_gathered(path, bad), limit)
    elif not (isinstance(body, dict) and "seats" in body) and recorded_discussions.known(body):
        yield from itertools.islice(_imported(path, bad), limit)
    else:
        yield from transcript.read(path, limit, bad)


def _first(path: Path) -> object:
    """The first record; None where it cannot be read: the full form's reader says what is wrong."""
    try:
        return next((body for _, body in _records(path)), None)
    except (TranscriptError, ValueError, RecursionError):
        return None


def _records(path: Path) -> Iterator[tuple[str, object]]:
    """(place, record) of JSON Lines, or of one JSON array of objects."""
    rows = ((number, row) for number, row in _lines(path) if row.strip())
    number, row = next(rows, (0, b""))
    if not row:
        return
    head = row.lstrip()[:40].replace(b" ", b"")
    if head.startswith((b"[{", b"[\n")) or head.strip() == b"[":
        whole = json.loads(row + b"".join(text for _, text in rows))
        yield from ((f"{path}: record {place}", one) for place, one in enumerate(whole, 1))
        return
    yield f"{path}:{number}", json.loads(row)
    for number, text in rows:
        yield f"{path}:{number}", json.loads(text)


def _imported(path: Path, bad: Bad | None) -> Iterator[Transcript]:
    place = str(path)
    seen: set[int] = set()
    try:
        for where, body in _records(path):
            place = where
            try:
                found = [TranscriptReply.model_validate(one) for one in recorded_discussions.replies(body, where)]
                if hash(found[0].key) in seen:
                    raise TranscriptError(f"{where}: a question that stood further up: give each record its own id")
                seen.add(hash(found[0].key))
                made = gathered(found, where)
            except ValidationError as error:
                problem = _problem(where, error)
                if bad is None:
                    raise problem from error
                bad(problem)
                continue
            except TranscriptError as error:
                if bad is None:
                    raise
                bad(error)
                continue
            yield made
    except (ValueError, RecursionError) as error:
        if isinstance(error, TranscriptError):
            raise
        raise TranscriptError(f"{place}: no JSON behind this record: {error}") from error


def _problem(where: str, error: ValidationError) -> TranscriptError:
    first = error.errors(include_input=False, include_url=False)[0]
    key = ".".join(map(str, first["loc"]))[:80]
    return TranscriptError(f"{where}: {key + ': ' if key else ''}{first['msg']}")


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
            while row := file.readline(transcript.LINE_LIMIT + 1):
                number += 1
                if len(row) > transcript.LINE_LIMIT:
                    raise TranscriptError(f"{path}:{number}: a line of more than {transcript.LINE_LIMIT >> 20} MiB")
                yield number, row
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TranscriptError(f"{path}: cannot be read after line {number}: {reason}") from error


def _gathered(path: Path, bad: Bad | None) -> Iterator[Transcript]:
    seen: set[int] = set()
    for key, lines in itertools.groupby(_replies(path, bad), lambda line: line[1].key):
        held = list(lines)
        where = f"{path}:{held[0][0]}"
        try:
            if hash(key) in seen:
                raise TranscriptError(
                    f"{where}: a question that stood further up: lines of one discussion stand together"
                )
            seen.add(hash(key))
            found = gathered([reply for _, reply in held], where)
        except TranscriptError as error:
            if bad is None:
                raise
            bad(error)
            continue
        yield found


def _replies(path: Path, bad: Bad | None) -> Iterator[tuple[int, TranscriptReply]]:
    for number, row in _lines(path):
        if not row.strip():
            continue
        try:
            yield number, TranscriptReply.model_validate_json(row)
        except ValidationError as error:
            problem = _problem(f"{path}:{number}", error)
            if bad is None:
                raise problem from error
            bad(problem)


def gathered(replies: list[TranscriptReply], where: str) -> Transcript:
    """One discussion from its replies. Raises TranscriptError for questions, gold answers or agents that disagree."""
    question = _question(replies, where)
    seats: dict[str, str] = {}
    for one in replies:
        model = one.model or one.agent
        if seats.setdefault(one.agent, model) != model:
            raise TranscriptError(f"{where}: agent {one.agent!r} has the models {seats[one.agent]!r} and {model!r}")
    ordered = sorted(replies, key=lambda one: one.round)
    turns: list[Turn] = []
    for one in ordered:
        before = tuple(place for place, turn in enumerate(turns) if turn.round == one.round - 1)
        turns.append(_turn(one, question, list(seats).index(one.agent), before))
    prompt = (TranscriptMessage(role="user", content=question.question),)
    last = turns[-1].round
    vote = _vote(turns, last, list(seats))
    try:
        return Transcript(
            question=question,
            discussion=DISCUSSION,
            seats=tuple(Seat(name=name, model=model) for name, model in seats.items()),
            prompts=(prompt,),
            turns=tuple(turns),
            votes=(vote,),
            answer=vote.answer,
            stopped="recorded",
        )
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise TranscriptError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from error


def _question(replies: list[TranscriptReply], where: str) -> Question:
    first = replies[0]
    for name in ("question", "gold", "kind", "choices", "task"):
        if any(getattr(one, name) != getattr(first, name) for one in replies):
            raise TranscriptError(f"{where}: {name}: the lines of one discussion must agree on it")
    kind = first.kind or ("choice" if first.choices else _kind(first.gold))
    body: dict[str, Any] = first.model_dump(include={"question", "task", "choices"})
    try:
        if first.gold is not None:
            gold(first.gold, kind, first.choices)
        return Question(id=first.key[:512], kind=kind, answer=first.gold, **body)
    except GoldError as error:
        raise TranscriptError(f"{where}: gold: {error}") from error


def _kind(right: str | None) -> AnswerKind:
    """A number or yes and no where the gold answer is that; else text."""
    if right is None:
        return "open"
    if right.strip().casefold() in ("yes", "no", "true", "false"):
        return "yesno"
    try:
        gold(right, "number")
    except GoldError:
        return "text"
    return "number"


def _turn(one: TranscriptReply, question: Question, seat: int, received: tuple[int, ...]) -> Turn:
    parsed = parse_reply(one.reply, question)
    answer, written = parsed.answer, parsed.written or ""
    if one.answer is not None:
        answer, written = canonical(one.answer, question.kind, question.choices), one.answer
    return Turn(
        round=one.round,
        seat=seat,
        prompt=0,
        received=received,
        text=one.reply[:TEXT_LIMIT],
        characters=len(one.reply),
        reasoning=parsed.reasoning[:TEXT_LIMIT],
        answer=answer,
        written=written[:TEXT_LIMIT],
        stated=one.confidence if one.confidence is not None else parsed.confidence,
    )


def _vote(turns: list[Turn], last: int, names: list[str]) -> Vote:
    """The majority of every agent's newest reply."""
    newest = {turn.seat: place for place, turn in enumerate(turns)}
    places = sorted(newest.values())
    found = votes.majority([turns[place].answer for place in places])
    return Vote(
        round=last,
        rule="majority",
        answer=found.answer,
        share=found.share,
        tallies=tuple(
            Tally(
                answer=group.answer,
                turns=tuple(places[voter] for voter in group.voters),
                agents=tuple(names[turns[places[voter]].seat] for voter in group.voters),
                weight=group.weight,
            )
            for group in found.groups
        ),
        abstentions=tuple(places[voter] for voter in found.abstentions),
        decided_by=found.decided_by,
    )
