"""The data of a distillation: a panel discusses the questions of a training split, each discussion a transcript.

It goes through the scheduler like everything else, so that a run that was killed goes on from the ledger: the same
command again generates only what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from agents import transcript as transcripts
from agents.conversation import DiscussionTerms
from agents.discussions import DISCUSSIONS, SchemeOptions, build
from agents.question import Question
from agents.transcript import Transcript
from orchestrator.errors import BadInput, NoAnswer, StorageError
from orchestrator.evaluation.context import Context
from orchestrator.evaluation.discussing import agent_of, hold
from orchestrator.evaluation.profile import AskingRequest, chosen, questions_of
from orchestrator.run_folder import revision

TRANSCRIPTS = "transcripts.jsonl.gz"
PROVENANCE = "provenance.json"


class GenerateRequest(AskingRequest):
    """Let a panel discuss the questions of a training split, and keep the transcripts."""

    discussion: str = Field(default="reconcile", description=f"One of {', '.join(DISCUSSIONS)}.")
    rounds: int = Field(default=1, ge=0, le=20, description="Rounds after the first replies.")
    split: str = Field(default="train", description="The split to discuss; never one that is reported on.")
    questions: int = Field(default=200, ge=1, le=1_000_000, description="Number of questions.")


@dataclass(frozen=True)
class Generated:
    """Where the transcripts lie, and what they cost."""

    path: Path
    transcripts: int
    replies: int
    tokens: int
    """Prompts and replies."""
    generated_tokens: int
    cached_replies: int
    right: int
    """Questions on which the team's answer was right."""


async def discuss(request: GenerateRequest, questions: Sequence[Question], context: Context) -> list[Transcript]:
    """The panel's discussion of each question, in the questions' order. Raises `BadInput` for a discussion that
    cannot be made."""
    try:
        discussion = build(request.discussion, SchemeOptions(rounds=request.rounds))
    except ValueError as error:
        raise BadInput(f"discussion: {error}") from error
    pool, panel = context.pool, chosen(context.experts, request.experts)
    agents = [agent_of(pool, expert, request.sampling) for expert in panel]
    settings = {"rounds": request.rounds, "max_tokens": request.max_tokens, "temperature": request.temperature}
    terms = DiscussionTerms(seed=context.seed(request.seed))

    def counted(_: Transcript) -> None:
        context.done()

    return await hold(
        pool, questions, agents, discussion, name=request.discussion, terms=terms, settings=settings, done=counted
    )


async def generate(request: GenerateRequest, context: Context, folder: Path) -> Generated:
    """Discuss, and write `transcripts.jsonl.gz` and `provenance.json` (what made them, at what cost) to `folder`.
    Raises `BadInput` for the test split and `StorageError` for a folder that cannot be written."""
    if request.split == "test":
        raise BadInput("split: a student must not learn from the split it is tested on")
    seed = context.seed(request.seed)
    questions = questions_of(request.task, request.split, request.questions, seed, request.columns)
    found = await discuss(request, questions, context)
    turns = [turn for one in found for turn in one.turns]
    if all(turn.error is not None for turn in turns):
        why = {one.seats[turn.seat].model: turn.error for one in found for turn in one.turns}
        raise NoAnswer("no expert gave a reply: " + "; ".join(f"{name}: {error}" for name, error in why.items())[:2000])
    result = Generated(
        path=folder / TRANSCRIPTS,
        transcripts=len(found),
        replies=len(turns),
        tokens=sum(one.tokens for one in found),
        generated_tokens=sum(turn.completion_tokens for turn in turns),
        cached_replies=sum(turn.cached for turn in turns),
        right=sum(bool(one.is_right(one.answer)) for one in found),
    )
    panel = chosen(context.experts, request.experts)
    provenance = {
        "request": request.model_dump(),
        "seed": seed,
        "revision": revision(),
        "experts": {expert.name: expert.fingerprint for expert in panel},
        "cost": {"replies": result.replies, "tokens": result.tokens, "generated_tokens": result.generated_tokens},
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".{TRANSCRIPTS}"
        transcripts.write(draft.with_suffix(".gz"), found)
        draft.with_suffix(".gz").replace(result.path)
        (folder / PROVENANCE).write_text(json.dumps(provenance, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise StorageError(f"{folder}: cannot write transcripts: {error.strerror or error}") from error
    return result
