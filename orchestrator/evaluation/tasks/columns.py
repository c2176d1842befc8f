"""Which column of a file holds what: as the user says it, or by the names that columns usually have."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agents.question import AnswerKind
from orchestrator.errors import BadInput


class Columns(BaseModel):
    """Which column holds what; what is left out is found by name. A dotted name reaches inside: `choices.text`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str | None = None
    answer: str | None = Field(
        default=None,
        description="The gold answer; of kind code the tests, which may stand in several columns: SETUP|TESTS.",
    )
    solution: str | None = Field(default=None, description="A worked solution, for training only.")
    choices: str | None = Field(default=None, description="A list or mapping of options, or their columns: A|B|C|D.")
    labels: str | None = Field(default=None, description="A list of the options' labels; default: A, B, C ...")
    id: str | None = None
    split: str | None = None
    task: str | None = None
    skills: str | None = None
    context: str | None = Field(default=None, description="A passage that stands in front of the question.")
    input: str | None = Field(
        default=None, description="What stands behind the question: Alpaca's input, the tests that a program must pass."
    )
    images: str | None = None
    kind: AnswerKind | None = Field(
        default=None, description="AnswerKind of all answers; default: by each file's gold answers."
    )
    answer_is: str | None = Field(
        default=None,
        pattern="^(label|text|from0|from1)$",
        description="How gold names an option: label, text, or its place counted from0 or from1.",
    )
    answer_after: str | None = Field(default=None, description="Gold is what follows this mark: GSM8K's '####'.")
    answer_before: str | None = Field(default=None, description="Gold is what stands in front of this mark.")
    ask: str | None = Field(default=None, description="A sentence that stands behind every question.")


def parse_columns(text: str | None) -> Columns:
    """`question=prompt,answer=target` as columns. Raises BadInput naming the part that is wrong."""
    pairs: dict[str, str] = {}
    for part in (text or "").split(","):
        if not part.strip():
            continue
        name, equals, column = (piece.strip() for piece in part.partition("="))
        if not equals or not column:
            raise BadInput(f"columns: {part.strip()!r} is not NAME=COLUMN, such as question=prompt")
        if name in pairs:
            raise BadInput(f"columns: {name!r} is named twice")
        pairs[name] = column
    try:
        return Columns.model_validate(pairs)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        known = ", ".join(Columns.model_fields)
        problem = f"there are {known}" if first["type"] == "extra_forbidden" else first["msg"]
        raise BadInput(f"columns: {name}: {problem}") from error


USUAL: Mapping[str, tuple[str, ...]] = {
    "question": (
        "question",
        "problem",
        "prompt",
        "query",
        "instruction",
        "messages",
        "conversations",
        "conversation",
        "input",
        "question_text",
        "problem_statement",
        "goal",
        "text",
        "inputs",
        "q",
        *("frage", "pregunta", "pergunta", "domanda", "vraag", "fråga", "pytanie", "soru", "вопрос", "问题", "問題"),
        *("题目", "題目", "質問", "질문", "문제", "سؤال", "प्रश्न", "câu hỏi"),
    ),
    "answer": (
        "answer",
        "answers",
        "answerKey",
        "answer_key",
        "gold",
        "target",
        "targets",
        "correct_answer",
        "final_answer",
        "expected_answer",
        "ground_truth",
        "label",
        "labels",
        "gold_label",
        "answer_index",
        "answer_idx",
        "gold_answer",
        "best_answer",
        "expected",
        "ideal",
        "correct",
        "correct_option",
        "correct_choice",
        "solution",
        "output",
        "response",
        "completion",
        "reference",
        "reward_model",
        "target_scores",
        *("antwort", "respuesta", "resposta", "risposta", "réponse", "antwoord", "svar", "odpowiedź", "cevap", "ответ"),
        *("答案", "正解", "回答", "答え", "정답", "답", "الإجابة", "उत्तर", "đáp án"),
    ),
    "solution": (
        "solution",
        "worked_solution",
        "rationale",
        "explanation",
        "reasoning",
        "chain_of_thought",
        "cot",
        "thought",
    ),
    "choices": ("choices", "options", "answer_choices", "endings", "mc1_targets"),
    "wrong": ("incorrect_answers", "wrong_answers", "distractors", "incorrect_options", "wrong_options"),
    "id": ("id", "question_id", "qid", "uid", "unique_id", "_id"),
    "split": ("split", "partition"),
    "task": ("task", "dataset", "data_source"),
    "skills": ("skills", "skill"),
    "context": ("context", "passage", "article", "paragraph", "premise", "body", "story", "document", "text"),
    "images": ("images", "image", "image_url", "image_path", "img"),
}
"""Names that columns have, most telling first; case, spaces, hyphens and underscores do not count."""
OPTION = re.compile(r"^(?:option|choice|opt|answer|ans|sol|ending|candidate)?[ _-]?([A-Za-z]|\d{1,2})$", re.IGNORECASE)
IMAGE = re.compile(r"^image_\d{1,2}$", re.IGNORECASE)


def usual(what: str, names: Sequence[str]) -> str | None:
    """The first of the file's columns that has one of the usual names."""
    by_name = {_plain(name): name for name in reversed(names)}
    return next((by_name[_plain(name)] for name in USUAL[what] if _plain(name) in by_name), None)


def _plain(name: str) -> str:
    """`Best Answer`, `best-answer`, `bestAnswer` and `best_answer` are one name."""
    return "".join(character for character in name.casefold() if character not in " _-")


def option_columns(names: Sequence[str]) -> list[tuple[str, str]]:
    """(column, label) where each option has its own column: A to D, option1 to option4, option_a ..."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name in names:
        match = OPTION.match(name.strip())
        if match:
            stem = name.strip()[: match.start(1)].casefold()
            found.setdefault(f"{stem}{match.group(1).isdigit()}", []).append((name, match.group(1)))
    for columns in found.values():
        labels = [label.upper() for _, label in columns]
        runs = [[chr(65 + n) for n in range(len(labels))], [str(n + 1) for n in range(len(labels))]]
        runs.append([str(n) for n in range(len(labels))])
        if len(labels) >= 2 and labels in runs:
            return [(name, label) for (name, _), label in zip(columns, labels, strict=True)]
    return []


def names_of(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """All columns of some records, in order of appearance."""
    return list(dict.fromkeys(str(name) for record in records for name in record))
