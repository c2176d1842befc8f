"""What was said, by whom, in which round, at what cost: one frozen record a question, kept as JSON Lines.

A transcript is a list of turns. Each turn names the earlier turns that its agent got to read (`received`), always of an
earlier round, so that the record is a directed acyclic graph, whatever the discussion. A round that did not happen
has no turns. Prompts stand once each, however many agents got the same one.

The schema is published in docs/transcript.schema.json, and is what `schema()` returns.
"""

from __future__ import annotations

import functools
import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

from agents.answers import score
from agents.question import Question, ScorerFailed
from agents.votes import TieBreak

TEXT_LIMIT = 20_000
"""Characters of one reply that a transcript keeps; `Turn.characters` says how long it was."""
LINE_LIMIT = 64 * 2**20
"""Bytes of one transcript in a file."""
MAX_TURNS = 10_000


class TranscriptError(ValueError):
    """A file of transcripts that cannot be read: names file, line and key."""


class TranscriptRecord(BaseModel):
    """Frozen, without unknown keys, without NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def model_post_init(self, context: Any, /) -> None:
        """Count every field as set, so that defaults are written too."""
        # Which fields were given is of no interest, and the set of their names is most of what a turn takes in memory.
        object.__setattr__(self, "__pydantic_fields_set__", _fields(type(self)))


@functools.cache
def _fields(record: type[BaseModel]) -> set[str]:
    return set(record.model_fields)


class Seat(TranscriptRecord):
    """One agent of the panel. A model that sits there twice has two seats of different names."""

    name: str = Field(min_length=1, max_length=200, description="Unique in the panel.")
    model: str = Field(max_length=500, description="The model or expert that plays it.")
    role: str = Field(
        default="", max_length=100, description="judge, aggregator, critic, ...; empty: its replies count in votes."
    )


class TranscriptMessage(TranscriptRecord):
    """One message of a prompt."""

    role: str
    content: str


class Turn(TranscriptRecord):
    """One reply of one agent. It abstains where it has no answer; with `error` set it never replied."""

    round: int = Field(ge=0, description="0: before anybody has read anything.")
    seat: int = Field(ge=0, description="Place in `seats`.")
    prompt: int = Field(ge=0, description="Place in `prompts`.")
    received: tuple[int, ...] = Field(
        default=(),
        validation_alias=AliasChoices("received", "heard"),  # files of version 0.1 say `heard`
        description="Places in `turns` of the replies its prompt shows.",
    )
    text: str = Field(default="", max_length=TEXT_LIMIT, description="The reply's head.")
    characters: int = Field(default=0, ge=0, description="Length of the whole reply.")
    reasoning: str = Field(default="", max_length=TEXT_LIMIT, description="What stands before the answer.")
    answer: str | None = Field(default=None, description="Canonical (agents.answers); null: it abstains.")
    written: str = Field(default="", max_length=TEXT_LIMIT, description="The answer as the reply writes it.")
    stated: float | None = Field(default=None, ge=0, le=1, description="The confidence that the reply states.")
    confidence: float | None = Field(default=None, ge=0, le=1, description="Confidence of the discussion's kind.")
    calls: int = Field(default=1, ge=1, description="Replies it rests on: more where consistency was asked for.")
    prompt_tokens: int = Field(default=0, ge=0, description="Of all its calls.")
    completion_tokens: int = Field(default=0, ge=0)
    seconds: float = Field(default=0.0, ge=0, description="From entering the engine to the last token.")
    cost: float = Field(default=0.0, ge=0, description="In the currency of the configured prices.")
    cached: bool = Field(default=False, description="It came from the ledger; nothing was generated.")
    key: str | None = Field(default=None, description="The ledger's key.")
    error: str | None = Field(default=None, max_length=2_000, description="Why there was no reply.")

    @property
    def abstains(self) -> bool:
        """True if the reply has no answer."""
        return self.answer is None

    @property
    def displayed(self) -> str | None:
        """The answer as people are shown it; None: it abstains."""
        return None if self.answer is None else self.written or self.answer


class Tally(TranscriptRecord):
    """All who gave one answer, in one vote."""

    answer: str
    turns: tuple[int, ...] = Field(description="Places in `turns`.")
    agents: tuple[str, ...] = Field(
        default=(), description="Names of the seats that spoke these turns, in their order."
    )
    weight: float
    confidence: float | None = Field(default=None, description="The best that was stated for it.")


class Vote(TranscriptRecord):
    """What a rule makes of the newest reply of every agent, after a round."""

    round: int = Field(ge=0)
    rule: str = Field(description="majority, weighted, log-odds, or a user's own.")
    answer: str | None = Field(description="null: all abstained.")
    share: float = Field(ge=0, le=1, description="The winner's share of the weight, or its posterior probability.")
    tallies: tuple[Tally, ...] = Field(default=(), description="Best first.")
    abstentions: tuple[int, ...] = Field(default=(), description="Places in `turns`.")
    decided_by: TieBreak | None = Field(
        default=None, description="What set the winner apart; null: one answer or none."
    )


class Transcript(TranscriptRecord):
    """One conversation: a discussion on one question, from the first reply to the team's answer."""

    version: Literal[1] = 1
    question: Question
    discussion: str = Field(min_length=1, max_length=200, description="reconcile, debate, vote, ...")
    settings: dict[str, str | int | float | bool | None] = Field(default_factory=dict, description="Of the discussion.")
    seed: int = Field(default=0, ge=0)
    seats: tuple[Seat, ...] = Field(min_length=1)
    prompts: tuple[tuple[TranscriptMessage, ...], ...] = ()
    turns: tuple[Turn, ...] = Field(default=(), max_length=MAX_TURNS)
    votes: tuple[Vote, ...] = ()
    answer: str | None = Field(default=None, description="The team's answer, canonical; null: all abstained.")
    reply: str = Field(default="", description="The team's reply: the best reasoning for its answer, and the answer.")
    confidence: float | None = Field(default=None, ge=0, le=1, description="Of the team in its answer.")
    stopped: str = Field(default="", description="Why no further round followed: consensus, rounds, ...")

    @model_validator(mode="after")
    def _consistent(self) -> Transcript:
        names = [seat.name for seat in self.seats]
        if len(set(names)) != len(names):
            raise ValueError("seats: two have one name")
        taken: set[tuple[int, int]] = set()
        for place, turn in enumerate(self.turns):
            if turn.seat >= len(self.seats) or turn.prompt >= len(self.prompts):
                raise ValueError(f"turns.{place}: no such seat or prompt")
            if any(not 0 <= received < place or self.turns[received].round >= turn.round for received in turn.received):
                raise ValueError(f"turns.{place}.received: a turn receives turns of earlier rounds only")
            if (turn.round, turn.seat) in taken:
                raise ValueError(f"turns.{place}: seat {turn.seat} speaks twice in round {turn.round}")
            taken.add((turn.round, turn.seat))
        for place, vote in enumerate(self.votes):
            counted = [turn for tally in vote.tallies for turn in tally.turns] + list(vote.abstentions)
            if any(not 0 <= turn < len(self.turns) for turn in counted):
                raise ValueError(f"votes.{place}: counts a turn that is not there")
        return self

    @property
    def rounds(self) -> int:
        """How many rounds there were."""
        return 1 + max((turn.round for turn in self.turns), default=-1)

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens of all turns."""
        return sum(turn.prompt_tokens + turn.completion_tokens for turn in self.turns)

    @property
    def seconds(self) -> float:
        """Sum of the turns' seconds; turns of one round may have run at the same time."""
        return sum(turn.seconds for turn in self.turns)

    @property
    def cost(self) -> float:
        """Sum of the turns' costs, in the unit of the agents' prices."""
        return sum(turn.cost for turn in self.turns)

    @property
    def calls(self) -> int:
        """Model calls of all turns."""
        return sum(turn.calls for turn in self.turns)

    @property
    def abstentions(self) -> int:
        """Replies without an answer, those that failed included; a critic owes none."""
        return sum(turn.abstains and self.seats[turn.seat].role != "critic" for turn in self.turns)

    @property
    def failures(self) -> int:
        """Turns without a reply."""
        return sum(turn.error is not None for turn in self.turns)

    def in_round(self, number: int) -> list[tuple[int, Turn]]:
        """The turns of one round, each with its place."""
        return [(place, turn) for place, turn in enumerate(self.turns) if turn.round == number]

    def as_written(self, answer: str | None) -> str | None:
        """An answer as the first reply that gave it writes it."""
        return next((turn.displayed for turn in self.turns if turn.answer == answer), answer)

    def edges(self) -> list[tuple[int, int]]:
        """Influence as (from, to), places in `turns`; forward in time."""
        return [(received, place) for place, turn in enumerate(self.turns) for received in turn.received]

    def is_right(self, answer: str | None) -> bool | None:
        """Whether an answer is right; None where that is not known: no gold answer, a scorer that is not loaded, or
        one that failed."""
        if self.question.answer is None or (self.question.scorer and self.question.function is None):
            return None
        try:
            return score(answer, self.question) == 1.0
        except ScorerFailed:
            return None

    def _repr_html_(self) -> str:
        from agents.rounds_html import Cell, rounds_html

        sure = "" if self.confidence is None else f" ({self.confidence:.2f})"
        return rounds_html(
            (self.discussion, self.question.question),
            (
                str(self.as_written(self.answer)),
                f"{sure}, {self.stopped or 'ended'}; {self.calls} calls, {self.tokens} tokens",
            ),
            [seat.name for seat in self.seats],
            [
                Cell(one.round, one.seat, self.is_right(one.answer), one.displayed, one.confidence, one.text, one.error)
                for one in self.turns
            ],
            self.edges(),
        )

    def vote(self, rule: str, after: int | None = None) -> Vote | None:
        """The vote by one rule after one round; None as round: the last one that was taken."""
        found = [vote for vote in self.votes if vote.rule == rule and after in (None, vote.round)]
        return found[-1] if found else None


def schema() -> dict[str, Any]:
    """The JSON schema of one line."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Transcript.model_json_schema()}


def write(path: Path, transcripts: Iterable[Transcript]) -> int:
    """Write one a line, gzipped where the name ends in .gz; how many there were. Raises OSError."""
    count = 0
    with _opened(path, "wb") as file:
        for transcript in transcripts:
            file.write(line(transcript))
            count += 1
    return count


def line(transcript: Transcript) -> bytes:
    """One transcript as a line of a file; what has its default is left out."""
    kept = transcript.model_dump_json(exclude_defaults=True, exclude={"version"})
    return f'{{"version":{transcript.version},{kept[1:]}\n'.encode()


def read(
    path: Path, limit: int | None = None, bad: Callable[[TranscriptError], None] | None = None
) -> Iterator[Transcript]:
    """The transcripts of a file, one after the other, of at most `limit` lines.

    With `bad`, a line that is no transcript is handed to it as an error, and reading goes on.

    Raises:
        TranscriptError: cannot be read, a line that is too long, or one that is no transcript; with file and line.
    """
    number = 0
    try:
        with _opened(path, "rb") as file:
            while (limit is None or number < limit) and (row := file.readline(LINE_LIMIT + 1)):
                number += 1
                if len(row) > LINE_LIMIT:
                    raise TranscriptError(f"{path}:{number}: a line of more than {LINE_LIMIT >> 20} MiB")
                try:
                    transcript = parse(row, f"{path}:{number}")
                except TranscriptError as error:
                    if bad is None:
                        raise
                    bad(error)
                    continue
                yield transcript
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TranscriptError(f"{path}: cannot be read after line {number}: {reason}") from error


def parse(row: bytes | str, where: str = "transcript") -> Transcript:
    """One line. Raises `TranscriptError` naming `where` and the key."""
    try:
        return Transcript.model_validate_json(row)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        key = ".".join(str(part)[:80] for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise TranscriptError(f"{where}: {key + ': ' if key else ''}{message}") from error


def settings_of(values: Mapping[str, object]) -> dict[str, str | int | float | bool | None]:
    """Settings as a transcript keeps them: scalars as they are, all else as JSON text."""
    kept: dict[str, str | int | float | bool | None] = {}
    for key, value in values.items():
        kept[key] = value if isinstance(value, str | int | float | bool) or value is None else json.dumps(value)
    return kept


def _opened(path: Path, mode: Literal["rb", "wb"]) -> IO[bytes] | gzip.GzipFile:
    return gzip.open(path, mode, compresslevel=6) if path.name.endswith(".gz") else path.open(mode)
