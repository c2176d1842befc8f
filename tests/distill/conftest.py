"""Transcripts made by hand, and a tiny student."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_llama

from agents.question import Question
from agents.reply import parse_reply
from agents.transcript import Seat, Transcript, TranscriptMessage, Turn
from distill.corpus import prepare
from distill.pairs import Selection


def discussed(
    number: int = 0, rounds: list[list[str | None]] | None = None, answer: str | None = "12", **question: Any
) -> Transcript:
    """A transcript whose agents all read all replies of the round before. `rounds[r][a]`: what agent a said in round
    r; None: nothing."""
    rounds = (
        rounds
        if rounds is not None
        else [
            ["3 x 4 = 12.\nAnswer: 12\nConfidence: 0.9", "3 + 4 = 7.\nAnswer: 7\nConfidence: 0.4"],
            ["3 x 4 = 12.\nAnswer: 12\nConfidence: 0.9", "Threes: 3, 6, 9, 12.\nAnswer: 12\nConfidence: 0.8"],
        ]
    )
    settings = {"id": f"q{number}", "task": "sums", "question": f"What is 3 x 4? ({number})", "kind": "number"}
    asked = Question(**{**settings, "answer": answer, **question})
    turns: list[Turn] = []
    before: tuple[int, ...] = ()
    for place, replies in enumerate(rounds):
        said = []
        for seat, text in enumerate(replies):
            if text is None:
                continue
            reply = parse_reply(text, asked)
            said.append(len(turns))
            turns.append(
                Turn(
                    round=place,
                    seat=seat,
                    prompt=0,
                    received=before,
                    text=text,
                    characters=len(text),
                    reasoning=reply.reasoning,
                    answer=reply.answer,
                    stated=reply.confidence,
                    prompt_tokens=40,
                    completion_tokens=len(text.split()),
                )
            )
        before = tuple(said)
    seats = tuple(Seat(name=f"agent{seat}", model=f"model{seat}") for seat in range(max(map(len, rounds), default=1)))
    prompts = ((TranscriptMessage(role="user", content=asked.question),),)
    return Transcript(question=asked, discussion="debate", seats=seats, prompts=prompts, turns=tuple(turns))


@pytest.fixture(scope="session")
def discuss() -> Callable[..., Transcript]:
    return discussed


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student that trains in milliseconds."""
    return tiny_llama.write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def lessons(discuss: Callable[..., Transcript], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("lessons") / "lessons.jsonl"
    sifted = prepare((discuss(number) for number in range(12)), Selection(level="L4"), out, len)
    assert sifted.lessons == 12
    return out
