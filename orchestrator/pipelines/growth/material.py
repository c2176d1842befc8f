"""What a skill is grown from: questions of three splits, and passages of documents.

A skill names its sources: generated tasks, files of questions, datasets, or folders of documents. Training questions,
those by which it is decided whether an expert helps, and those that are reported on are three splits; where a source
has no `train`, its questions are divided by their text.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agents.question import Question
from orchestrator.errors import BadInput
from orchestrator.evaluation.tasks import columns as column_names
from orchestrator.evaluation.tasks.load import generated_task, sources_in
from orchestrator.evaluation.tasks.load import source_of as question_source
from orchestrator.evaluation.tasks.splits import chosen, plan, usual_name
from orchestrator.evaluation.tasks.task import Task, TaskSplit, split_of

DOCUMENTS = (".txt", ".md", ".markdown", ".rst")
MAX_DOCUMENTS = 10_000
MAX_DOCUMENT_BYTES = 20 * 2**20
PASSAGE = 1_500
"""Characters of a passage: paragraphs side by side, never more."""
_SKILL = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]{0,63})=(?P<sources>.+)", re.DOTALL)


@dataclass(frozen=True)
class Skill:
    """One expert to be: its name and what it learns from."""

    name: str
    sources: tuple[str, ...]


@dataclass
class Material:
    """What there is to learn from and to be judged by. Questions of different splits have different texts."""

    train: list[Question] = field(default_factory=list)
    validation: list[Question] = field(default_factory=list)
    test: list[Question] = field(default_factory=list)
    passages: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was decided about splits, a line each."""


def skills_in(texts: Sequence[str]) -> list[Skill]:
    """`NAME=SOURCE+SOURCE` as skills. Raises BadInput naming the one that cannot be read."""
    found: dict[str, Skill] = {}
    for text in texts:
        match = _SKILL.fullmatch(text.strip())
        if match is None:
            raise BadInput(f"skills: {text!r} is not NAME=TASK, such as sums=arithmetic or law=questions.csv")
        whole = match["sources"].strip()
        parts = [whole] if Path(whole).expanduser().exists() else [part.strip() for part in whole.split("+")]
        if not all(parts):
            raise BadInput(f"skills: {text!r}: a source is empty")
        if match["name"] in found:
            raise BadInput(f"skills: {match['name']!r} is named twice")
        found[match["name"]] = Skill(match["name"], tuple(one for part in parts for one in sources_in(part)))
    if not found:
        raise BadInput("skills: name at least one: NAME=TASK")
    return list(found.values())


@dataclass(frozen=True)
class Amounts:
    """How many questions of each split."""

    train: int
    validation: int
    test: int

    def share(self, parts: int) -> Amounts:
        """Of each of so many sources."""
        return Amounts(*(-(-count // parts) for count in (self.train, self.validation, self.test)))


def material(
    skill: Skill, amounts: Amounts, seed: int, columns: str | None, note: Callable[[str], None] = lambda line: None
) -> Material:
    """Everything that the skill's sources give, in equal shares. Raises BadInput for a source that cannot be read."""
    found = Material()
    share = amounts.share(len(skill.sources))
    for source in skill.sources:
        note(f"{skill.name}: reading {source}")
        if (passages := documents(Path(source).expanduser())) is not None:
            found.passages += passages
        elif (task := generated_task(source)) is not None:
            _draw(task, share, seed, found)
        else:
            _read(source, share, seed, columns, found)
    return found


def documents(path: Path) -> list[str] | None:
    """The passages of a document, or of a folder's; None where `path` is neither. Raises BadInput naming the file."""
    if path.is_file() and path.suffix.lower() in DOCUMENTS:
        files = [path]
    elif path.is_dir():
        files = sorted(one for one in path.rglob("*") if one.suffix.lower() in DOCUMENTS and one.is_file())
        others = any(one.is_file() and one.suffix.lower() not in DOCUMENTS for one in path.iterdir())
        if not files or (others and all(one.name.lower().startswith("readme") for one in files)):
            return None  # a folder of questions with its README
    else:
        return None
    if len(files) > MAX_DOCUMENTS:
        raise BadInput(f"{path}: {len(files):,} documents; at most {MAX_DOCUMENTS:,}")
    passages = [passage for file in files for passage in _passages(file)]
    if not passages:
        raise BadInput(f"{path}: the documents hold no text")
    return passages


def _passages(file: Path) -> list[str]:
    try:
        if file.stat().st_size > MAX_DOCUMENT_BYTES:
            raise BadInput(f"{file}: {file.stat().st_size:,} bytes; at most {MAX_DOCUMENT_BYTES:,} a document")
        text = file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}: no text in UTF-8: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}") from error
    found, passage = [], ""
    for paragraph in re.split(r"\n\s*\n", text):
        for piece in _pieces(" ".join(paragraph.split())):
            if passage and len(passage) + len(piece) + 2 > PASSAGE:
                found.append(passage)
                passage = ""
            passage = f"{passage}\n\n{piece}".strip()
    return [*found, passage] if passage else found


def _pieces(paragraph: str) -> list[str]:
    """A paragraph in pieces of at most `PASSAGE` characters, cut between words where there are any."""
    pieces = []
    while len(paragraph) > PASSAGE:
        end = paragraph.rfind(" ", 1, PASSAGE + 1)
        end = end if end > 0 else PASSAGE
        pieces.append(paragraph[:end])
        paragraph = paragraph[end:].lstrip()
    return [*pieces, paragraph] if paragraph else pieces


def _draw(task: Task, share: Amounts, seed: int, found: Material) -> None:
    for split, count, into in _wanted(share, found):
        into += [one.question.solved_by(one.solution) for one in task.problems(split, count, seed)]


def _read(source: str, share: Amounts, seed: int, columns: str | None, found: Material) -> None:
    read = question_source(source, column_names.parse_columns(columns))
    parts = plan(read)
    if "train" in {usual_name(name) for name in parts.present}:
        for split, count, into in _wanted(share, found):
            into += chosen(read, split, count, seed, found.notes.append)
        return
    why = "no splits" if not parts.present else f"no split train but {', '.join(parts.present)}"
    found.notes.append(f"{source}: {why}: eight tenths of the questions, by their text, are for training")
    divided: dict[TaskSplit, list[Question]] = {"train": [], "validation": [], "test": []}
    for question in read.questions():
        split = split_of(question.question)
        divided[split].append(question.model_copy(update={"split": split}))
    for split, count, into in _wanted(share, found):
        own = divided[split]
        into += own if len(own) <= count else random.Random(f"{source}/{split}/{seed}").sample(own, count)


def _wanted(share: Amounts, found: Material) -> tuple[tuple[TaskSplit, int, list[Question]], ...]:
    return (
        ("train", share.train, found.train),
        ("validation", share.validation, found.validation),
        ("test", share.test, found.test),
    )
