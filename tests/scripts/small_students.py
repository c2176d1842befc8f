"""Lessons, and a small student that reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.transcript import Transcript
from distill.graph import interaction_graph
from distill.pairs import Lesson, Selection, lesson
from distill.specification import TrainingSpec

Discuss = Callable[..., Transcript]


def taught(transcript: Transcript, level: str = "L4") -> Lesson:
    found = lesson(interaction_graph(transcript), Selection.model_validate({"level": level}))
    assert isinstance(found, Lesson)
    return found


def network(tiny: Path, **settings: Any) -> Any:
    from distill.network import Network

    made = Network(TrainingSpec.model_validate({"student": str(tiny), "precision": "fp32", "rank": 4, **settings}))
    made.train(False)
    return made


def rows(made: Any, *lessons: Lesson) -> list[Any]:
    from distill.rows import tokenised

    return [tokenised(one, made.tokenizer) for one in lessons]
