"""Convincing samples: explanations that turned an expert's wrong answer into a right one (ReConcile, section 3.1).

For every training question that an expert gets wrong, it is asked again with a worked explanation in the prompt. The
best by utility (confidence after + confidence before - 1: sure of the wrong answer, then sure of the right one) are
kept, and shown to the *other* experts of a panel.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field, ValidationError

from agents.prompts import ConvincingExample, explain
from agents.question import Question
from agents.reply import parse_reply
from orchestrator.config import StrictModel
from orchestrator.config import explain as explain_errors
from orchestrator.errors import BadInput, CollegiumError
from orchestrator.evaluation.answering import ExpertReply, answer_all, is_right
from orchestrator.evaluation.context import Context
from orchestrator.evaluation.profile import chosen
from orchestrator.evaluation.tasks import Columns, load, parse_columns
from orchestrator.evaluation.tasks.load import generated_task, sources_in
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Completion, Sampling

MAX_BYTES = 16 * 2**20


class ConvincingRequest(StrictModel):
    """Find explanations that change experts' minds, on training questions with worked solutions."""

    task: str = Field(
        default="mixed",
        description="A generated task, or questions with a column of worked solutions, or several with commas.",
    )
    columns: str | None = Field(
        default=None, description="Which column of one's own questions holds what: question=prompt,solution=rationale."
    )
    experts: list[str] = Field(default_factory=list, description="Experts to ask (default: the whole zoo).")
    questions: int = Field(default=64, ge=1, le=100_000, description="Number of training questions to answer.")
    keep: int = Field(default=4, ge=1, le=100, description="Samples kept per expert and task.")
    max_tokens: int = Field(default=160, ge=1, le=32_768, description="Maximum length of a reply, in tokens.")
    seed: int = Field(default=0, ge=0, description="Seed of the questions.")
    out: str | None = Field(default=None, description="Also write the samples to this file (JSON Lines).")


class ConvincingRow(StrictModel):
    """One line of the file."""

    expert: str
    task: str
    question: str = Field(max_length=100_000)
    explanation: str = Field(max_length=100_000)
    answer: str
    before: str | None
    utility: float


class ConvincingResult(StrictModel):
    """What was found, best first within each expert and task."""

    samples: list[ConvincingRow]


async def convincing(request: ConvincingRequest, context: Context) -> list[ConvincingRow]:
    """The samples, best first within each expert and task. Raises `BadInput` for a task without explanations."""
    explained = _explained(request)
    pool, experts = context.pool, chosen(context.experts, request.experts)
    questions = [question for question, _ in explained]
    sampling = Sampling(max_tokens=request.max_tokens)
    first = await answer_all(pool, experts, questions, sampling, request.seed, context.done)
    wrong = [
        (expert, question, explanation)
        for expert in experts
        for question, explanation in explained
        if first[question.id, expert.name].error is None and not first[question.id, expert.name].right
    ]

    async def again(expert: Expert, question: Question, explanation: str) -> ConvincingRow | None:
        messages = [(message["role"], message["content"]) for message in explain(question, explanation)]
        with pool.conversation(f"{question.id}/convincing", request.seed):
            (outcome,) = await pool.ask([(pool.request(expert, messages, sampling), expert)])
        if isinstance(outcome, CollegiumError) and outcome.elsewhere:
            return None
        if not isinstance(outcome, Completion):
            raise outcome
        return _convinced(first[question.id, expert.name], question, explanation, outcome.text)

    found = [one for one in await asyncio.gather(*(again(*row) for row in wrong)) if one]
    found.sort(key=lambda one: (one.expert, one.task, -one.utility))
    counted: dict[tuple[str, str], int] = {}
    kept = []
    for one in found:
        place = counted[one.expert, one.task] = counted.get((one.expert, one.task), 0) + 1
        kept += [one] if place <= request.keep else []
    return kept


def write_samples(path: Path, samples: Sequence[ConvincingRow]) -> None:
    """Write one sample per line, as JSON."""
    path.write_text("".join(sample.model_dump_json() + "\n" for sample in samples), "utf-8")


def read_samples(path: str, panel: Sequence[str]) -> Mapping[str, list[ConvincingExample]]:
    """Expert -> what convinced it, for the panel's experts. Raises `BadInput` naming file and line."""
    found: dict[str, list[ConvincingExample]] = {}
    try:
        if Path(path).stat().st_size > MAX_BYTES:
            raise BadInput(f"{path}: larger than {MAX_BYTES} bytes")
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    for number, line in enumerate(lines, start=1):
        try:
            one = ConvincingRow.model_validate(json.loads(line))
        except ValidationError as error:
            raise BadInput(f"{path}:{number}: {explain_errors(error, ConvincingRow)}") from error
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{path}:{number}: not JSON") from error
        if one.expert in panel:
            found.setdefault(one.expert, []).append(
                ConvincingExample(one.question, one.explanation, one.answer, one.task)
            )
    return found


def _explained(request: ConvincingRequest) -> list[tuple[Question, str]]:
    """Training questions in equal shares, each with its worked solution."""
    sources = sources_in(request.task)
    share = -(-request.questions // len(sources))
    columns = parse_columns(request.columns) if request.columns else None
    shares = [_solved(source, share, request.seed, columns) for source in sources]
    rows = [each for place in range(max(map(len, shares))) for part in shares for each in part[place : place + 1]]
    return rows[: request.questions]


def _solved(source: str, n: int, seed: int, columns: Columns | None) -> list[tuple[Question, str]]:
    """Up to `n` training questions of one source that have a worked solution."""
    if (task := generated_task(source)) is not None:
        return [(problem.question, problem.solution) for problem in task.problems("train", n, seed)]
    asked = load(source, "train", None, seed, columns)
    found = [(question, question.solution) for question in asked if question.solution]
    if not found:
        raise BadInput(
            f"{source}: none of its {len(asked)} training questions has a worked solution, which is what experts are "
            "shown: say which column holds it (--columns solution=NAME)"
        )
    return found[:n]


def _convinced(first: ExpertReply, question: Question, explanation: str, text: str) -> ConvincingRow | None:
    after = parse_reply(text, question)
    if not is_right(question, after.answer) or after.confidence is None or first.reply.confidence is None:
        return None
    return ConvincingRow(
        expert=first.expert,
        task=question.task,
        question=question.question,
        explanation=explanation,
        answer=str(question.answer),
        before=first.reply.displayed,
        utility=round(after.confidence + first.reply.confidence - 1, 4),
    )
