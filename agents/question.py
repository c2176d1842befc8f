"""A question with its gold answer: what every task yields and every method answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

AnswerKind = Literal["number", "choice", "yesno", "expression", "set", "list", "text", "code", "open"]
CHAT = "chat"
"""The task of a question that is a turn of somebody's chat."""


class ScorerFailed(ValueError):
    """A scorer of one's own raised, or returned what is no score: whether the answer is right is not known."""


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
    scorer: str = Field(default="", max_length=512, description="Function that scores its answers; none: by its kind.")
    _function: Callable[[Question, str], float] | None = PrivateAttr(default=None)
    _solution: str = PrivateAttr(default="")

    def scored_by(self, name: str, function: Callable[[Question, str], float]) -> Self:
        """This question, whose answers `function(question, answer)` scores from 0 to 1 (1: right). Only the name is
        written down with it: a question that is read from a file has no function."""
        copy = self.model_copy(update={"scorer": name})
        copy._function = function
        return copy

    @property
    def function(self) -> Callable[[Question, str], float] | None:
        """What scores its answers instead of its kind; None: nothing, or only its name is known (`scorer`)."""
        return self._function

    def solved_by(self, solution: str) -> Self:
        """This question with its source's worked solution, which a student may be taught. It is in no prompt, and is
        not written down with the question."""
        copy = self.model_copy()
        copy._solution = solution
        return copy

    @property
    def solution(self) -> str:
        """The worked solution that its source gives, without the answer; empty: none."""
        return self._solution

    @property
    def is_chat(self) -> bool:
        """Whether it is an open turn of a chat: a prompt states it as it is, and a reply is an answer as a whole."""
        return self.task == CHAT and self.kind == "open" and not self.choices

    @property
    def golds(self) -> tuple[str, ...]:
        """All answers that are right; empty where none is known."""
        return () if self.answer is None else (self.answer, *self.accepted)
