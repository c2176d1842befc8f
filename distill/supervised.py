"""Plain supervised fine-tuning as lessons: one conversation, one reply to it, next-token loss on the reply.

The trainer is that of all other levels; such lessons have no pairs and no graph.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from distill.pairs import Lesson


class Example(BaseModel):
    """One conversation to train on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    messages: list[dict[str, str]] = Field(min_length=1, description="The prompt: role and content of each message.")
    reply: tuple[tuple[str, bool], ...] = Field(
        min_length=1, description="The reply in pieces; only pieces with true carry loss."
    )

    def lesson(self, name: str, task: str = "") -> Lesson:
        """The example as a lesson called `name`."""
        ends = list(accumulate(len(piece) for piece, _ in self.reply))
        untaught = tuple(
            (0, end - len(piece), end) for (piece, taught), end in zip(self.reply, ends, strict=True) if not taught
        )
        text = "".join(piece for piece, _ in self.reply)
        return Lesson(id=name, task=task, messages=self.messages, texts=(text,), taught=(0,), untaught=untaught)


def write_lessons(examples: Iterable[Example], out: Path) -> int:
    """Write one lesson per example to `out`, in their order; how many there were. Raises OSError."""
    count = 0
    with out.open("wb") as file:
        for count, example in enumerate(examples, 1):
            file.write(example.lesson(f"example-{count}").model_dump_json(exclude_defaults=True).encode() + b"\n")
    return count
