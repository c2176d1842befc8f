"""From a record and the layout of its source to a question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast, get_args

from pydantic import ValidationError

from agents.question import AnswerKind, Question
from orchestrator.evaluation.tasks import golds, messages, options
from orchestrator.evaluation.tasks.cells import CellError, cell, kind_in_words, passage, scalar
from orchestrator.evaluation.tasks.layout import QuestionLayout, chosen_label
from orchestrator.evaluation.tasks.options import Options

KINDS = frozenset(get_args(AnswerKind))


@dataclass(frozen=True)
class QuestionMaker:
    """Turns the records of one source into questions."""

    layout: QuestionLayout
    task: str
    """Of records that name none."""

    def __call__(self, record: Mapping[str, Any], id: str, split: str | None) -> Question:
        """The question; `id` and `split` where the record has none. Raises CellError naming the key."""
        layout = self.layout
        text, reply = self._asked(record)
        found = layout.options_of(record)
        if layout.in_question:
            entries = options.in_question(text)
            if entries is None:
                raise CellError(layout.question, "no lettered options in it, as the other questions have")
            text, found = entries
        kind = self._kind(record, found)
        gold = self._gold(record, kind, found, found.mapping if found else None, reply)
        if found is not None and layout.reordered:
            found, label = options.reordered(found, text, gold[0] if gold else None)
            gold = () if label is None else (label,)
        choices = found.mapping if found else None
        try:
            question = Question(
                id=self._text(record, layout.id) or id,
                task=self._text(record, layout.task) or self.task,
                question=text,
                kind=kind,
                choices=choices,
                answer=gold[0] if gold else None,
                accepted=gold[1:],
                skills=self._skills(record),
                split=self._text(record, layout.split) or split,
            )
        except ValidationError as error:
            first = error.errors()[0]
            raise CellError(".".join(map(str, first["loc"])), first["msg"]) from None
        solution = layout.solution_of(record)
        return question.solved_by(solution) if solution else question

    def _asked(self, record: Mapping[str, Any]) -> tuple[str, str | None]:
        layout = self.layout
        value = cell(record, layout.question)
        images = tuple(one for name in layout.images if (one := cell(record, name)) not in (None, "", []))
        if images:
            raise CellError(layout.images[0], "an image: questions with images are not read yet; leave the rows out")
        if isinstance(value, str):
            text, reply = value, None
        elif messages.is_chat(value):
            chat = messages.read(value, layout.question)
            if chat.images:
                raise CellError(layout.question, "holds an image: questions with images are not read yet")
            text, reply = chat.text, chat.reply
        else:
            if value is not None and not isinstance(value, int | float):
                raise CellError(layout.question, f"must be text or chat messages, is {kind_in_words(value)}")
            text, reply = scalar(value, layout.question) or "", None
        if not text.strip():
            raise CellError(layout.question, "the question is empty")
        about = passage(cell(record, layout.input), layout.input) if layout.input else ""
        before = passage(cell(record, layout.context), layout.context) if layout.context else ""
        return "\n\n".join(part for part in (before, text, layout.ask, about) if part), reply

    def _kind(self, record: Mapping[str, Any], found: Options | None) -> AnswerKind:
        own = record.get("kind")
        if own is not None and (not isinstance(own, str) or own not in KINDS):
            raise CellError("kind", f"there is no kind {str(own)[:40]!r}; there are {', '.join(sorted(KINDS))}")
        if found is not None:
            return "choice"
        return cast("AnswerKind", own) or self.layout.kind or "text"

    def _gold(
        self,
        record: Mapping[str, Any],
        kind: AnswerKind,
        found: Options | None,
        choices: Mapping[str, str] | None,
        reply: str | None,
    ) -> tuple[str, ...]:
        layout = self.layout
        if found is not None and found.right is not None:
            return (found.labels[found.right],)
        if layout.answer is None:
            return () if reply is None else golds.checked([reply.strip()], kind, choices, layout.question)
        if reply is not None and layout.answer != layout.question:
            raise CellError(layout.question, f"ends with a reply of the assistant, and {layout.answer} holds gold too")
        entries = layout.golds_of(record)
        if found is None and kind in ("set", "list") and "|" not in layout.answer:
            entries = golds.members(entries, cell(record, layout.answer), kind)
        if found is None:
            return golds.checked(entries, kind, None, layout.answer)
        if len(entries) > 1:
            raise CellError(layout.answer, f"{len(entries)} right options: a choice has one")
        label = chosen_label(entries[0], found, layout.answer_is)
        if label is None:
            listed = ", ".join(found.labels)[:200]
            raise CellError(
                layout.answer, f"{entries[0][:80]!r} is none of the options {listed} (read as {layout.answer_is})"
            )
        return (label,)

    def _skills(self, record: Mapping[str, Any]) -> tuple[str, ...]:
        name = self.layout.skills
        value = cell(record, name) if name else None
        if value is None:
            return ()
        entries = value if isinstance(value, list | tuple) else [value]
        return tuple(text for one in entries if (text := scalar(one, str(name))) is not None)

    @staticmethod
    def _text(record: Mapping[str, Any], name: str | None) -> str | None:
        return None if name is None else scalar(cell(record, name), name)

    @cached_property
    def reasons(self) -> tuple[str, ...]:
        """Why the records are read as they are."""
        return self.layout.reasons
