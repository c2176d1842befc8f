"""A question with its gold answer: what every task yields and every method answers."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

AnswerKind = Literal["number", "choice", "yesno", "expression", "set", "list", "text", "code", "open"]
CHAT = "chat"
"""The task of a question that is a turn of somebody's chat."""


class Question(BaseModel):
    """One question. `question` never contains the lettered options: they stand in `choices`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1, max_length=512)
    task: str = "open"
    question: str = Field(min_length=1, max_length=100_000)
    kind: AnswerKind = "open"
    choices: dict[str, str] | None = None
    answer: str | None = Field(default=None, description="Gold answer; a letter of `choices` where there are choices.")
    accepted: tuple[str, ...] = Field(default=(), description="Other answers that are right too, beside `answer`.")
    skills: tuple[str, ...] = ()
    split: str | None = None

    @property
    def is_chat(self) -> bool:
        """Whether it is an open turn of a chat: a prompt states it as it is, and a reply is an answer as a whole."""
        return self.task == CHAT and self.kind == "open" and not self.choices

    @property
    def golds(self) -> tuple[str, ...]:
        """All answers that are right; empty where none is known."""
        return () if self.answer is None else (self.answer, *self.accepted)
