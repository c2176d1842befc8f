"""What is said to an expert: messages that ask for an answer, for a second thought, or for skill keywords.

Each builder returns chat messages, `[{"role": ..., "content": ...}]`, without a system message, so that a model's
own default stands. They are short enough for a 135M model and plain enough for any instruct model. Change a word
here only together with the demo zoo, which is trained on exactly these prompts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from agents.question import Kind, Question

Messages: TypeAlias = list[dict[str, str]]

EXPLANATION_LIMIT = 400
"""Characters of one explanation that another agent gets to read."""
EXPLANATIONS_PER_GROUP = 3
GROUP_LIMIT = 8

_ANSWER_FORMS: Mapping[Kind, str] = {
    "number": "a number",
    "choice": "the letter of an option",
    "yesno": "yes or no",
    "text": "a word or a few",
    "open": "your answer, in one line",
}


@dataclass(frozen=True, slots=True)
class Voice:
    """One agent's share in a group: why it gave the answer, and how sure it said it was (0 to 1, None: unsaid)."""

    explanation: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """All agents that gave one answer in the previous round."""

    answer: str
    voices: tuple[Voice, ...]


def solve(question: Question) -> Messages:
    """Ask for short reasoning, then the lines `Answer: ...` and `Confidence: ...`."""
    return _user(f"{stated(question)}\n\nThink briefly. {_form(question)}")


def discuss(question: Question, groups: Sequence[Group]) -> Messages:
    """Ask again, showing every answer of the previous round (ReConcile, https://arxiv.org/abs/2309.13007, section 3).

    At most `GROUP_LIMIT` groups are shown, the largest first, with at most `EXPLANATIONS_PER_GROUP` explanations
    each, the surest first. Explanations are quoted as data: one line each, cut at `EXPLANATION_LIMIT`.
    """
    ordered = sorted(groups, key=lambda group: -len(group.voices))[:GROUP_LIMIT]
    shown = "\n".join(_group(group) for group in ordered)
    return _user(
        f"{stated(question)}\n\nOther agents answered:\n{shown}\n\n"
        f"They may be wrong. Think briefly again. {_form(question)}"
    )


def keywords(question: Question) -> Messages:
    """Ask which skills the question needs: a line `Keywords: a, b` (Symbolic-MoE, https://arxiv.org/abs/2503.05641)."""
    return _user(
        f"{stated(question)}\n\nDo not answer. Which skills does this question need? Reply with one line:\n"
        "Keywords: <two to five skills, separated by commas>"
    )


def stated(question: Question) -> str:
    """The question with its lettered options, as every prompt shows it."""
    if not question.choices:
        return question.question
    options = "\n".join(f"({letter}) {text}" for letter, text in question.choices.items())
    return f"{question.question}\n{options}"


def _form(question: Question) -> str:
    kind: Kind = "choice" if question.choices else question.kind
    return f"End with two lines:\nAnswer: <{_ANSWER_FORMS[kind]}>\nConfidence: <0.0 to 1.0>"


def _group(group: Group) -> str:
    agents = "1 agent" if len(group.voices) == 1 else f"{len(group.voices)} agents"
    surest = sorted(group.voices, key=lambda voice: -(voice.confidence or 0.0))[:EXPLANATIONS_PER_GROUP]
    lines = [f"- {_quoted(group.answer, 100)} ({agents})"]
    for voice in surest:
        sure = "" if voice.confidence is None else f"confidence {voice.confidence:.1f}: "
        lines.append(f"  {sure}{_quoted(voice.explanation, EXPLANATION_LIMIT)}")
    return "\n".join(lines)


def _quoted(text: str, limit: int) -> str:
    """One line in quotes. Only the head is looked at, so that a huge text costs nothing."""
    head = " ".join(text[: 4 * limit].split()).replace('"', "'")
    cut = head if len(head) <= limit and len(text) <= 4 * limit else head[: limit - 3].rstrip() + "..."
    return f'"{cut}"'


def _user(content: str) -> Messages:
    return [{"role": "user", "content": content}]
