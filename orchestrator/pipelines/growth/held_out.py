"""Grown experts on held-out questions: each against its base, all of them mixed, and merged."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.question import Question
from orchestrator.config import ExpertConfig
from orchestrator.errors import NoAnswer, StorageError
from orchestrator.evaluation.answer import RunRequest, RunResult, answer
from orchestrator.evaluation.answering import answer_all
from orchestrator.evaluation.context import Context
from orchestrator.evaluation.outcomes import check_scored
from orchestrator.evaluation.report.data import Comparison, RunReport
from orchestrator.evaluation.report.intervals import mcnemar, paired_difference, wilson
from orchestrator.evaluation.report.record import Interval
from orchestrator.experts.zoo import resolve
from orchestrator.inference.request import Sampling

BASE, MERGED = "base", "merged"
"""Rows of the report beside the grown experts."""
FILE = "questions.jsonl"
"""In the run folder: the held-out questions of all skills."""
DECIDES, REPORTED = "validation", "test"


@dataclass(frozen=True)
class HeldOut:
    """The questions of all skills that nobody was trained on, each with its gold answers once."""

    questions: Mapping[str, Question]
    owners: Mapping[str, frozenset[str]]
    """Question id -> the skills that it belongs to."""

    @classmethod
    def of(cls, skills: Mapping[str, Sequence[Question]]) -> HeldOut:
        """From each skill's questions of both splits."""
        ids: dict[tuple[str | None, str, str, tuple[str, ...]], str] = {}
        questions: dict[str, Question] = {}
        owners: dict[str, set[str]] = {}
        for skill, own in skills.items():
            for one in own:
                same = (one.split, one.question, json.dumps(one.choices), one.golds)
                id = ids.setdefault(same, f"{skill}-{len(ids)}")
                questions.setdefault(id, one.model_copy(update={"id": id}))
                owners.setdefault(id, set()).add(skill)
        return cls(questions, {id: frozenset(who) for id, who in owners.items()})

    def of_split(self, split: str, skill: str | None = None) -> list[Question]:
        """The questions of a split, of one skill or of all."""
        return [one for id, one in self.questions.items() if one.split == split and skill in (None, *self.owners[id])]

    def write(self, path: Path) -> None:
        """As a file of questions. Raises `StorageError`."""
        lines = []
        for one in self.questions.values():
            row = one.model_dump(exclude={"accepted", "scorer"}, exclude_none=True)
            row |= {"answer": list(one.golds)} if one.accepted else {}
            lines.append(json.dumps(row, ensure_ascii=False) + "\n")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(lines), "utf-8")
        except OSError as error:
            raise StorageError(f"{path}: cannot be written: {error.strerror}") from error


@dataclass(frozen=True)
class Bench:
    """Who is judged, on what, and how they are asked."""

    context: Context
    """The base and the grown experts alone."""
    file: Path
    held_out: HeldOut
    max_tokens: int
    seed: int

    @property
    def grown(self) -> list[str]:
        """The names of the grown experts."""
        return [name for name in self.context.experts if name != BASE]

    async def decided(self) -> dict[str, Comparison]:
        """Skill -> its expert against the base on the questions that decide. Raises `NoAnswer`."""
        experts, sampling = self.context.experts, Sampling(max_tokens=self.max_tokens)
        found = {}
        for name in self.grown:
            asked = self.held_out.of_split(DECIDES, name)
            pair = [experts[BASE], experts[name]]
            replies = await answer_all(self.context.pool, pair, asked, sampling, self.seed, self.context.done)
            check_scored(replies)
            both = [one.id for one in asked if replies[one.id, BASE].judged and replies[one.id, name].judged]
            if not both:
                raise NoAnswer(f"{name}: it and its base have no question in common that both replied to")
            scores = [[float(replies[id, who].right) for id in both] for who in (name, BASE)]
            difference = paired_difference(scores[0], scores[1], seed=self.seed)
            found[name] = Comparison(method=name, baseline=BASE, difference=difference, p=mcnemar(scores[0], scores[1]))
        return found

    async def reported(self) -> RunResult:
        """All of them on the questions that are reported on; several also side by side with their mixture."""
        methods = ["each", "best", "vote", "mixture"] if len(self.grown) > 1 else ["each"]
        return await self._run(methods, self.context)

    async def merged(self, names: Sequence[str]) -> RunResult:
        """The plain average of the named experts, as an expert."""
        config = self.context.config
        sources = [{"model": config.experts[one].model, "adapter": config.experts[one].adapter} for one in names]
        merged = ExpertConfig.model_validate({"recipe": {"method": "linear", "sources": sources}})
        return await self._run(["best"], only(self.context, {MERGED: merged}))

    async def _run(self, methods: list[str], context: Context) -> RunResult:
        request = RunRequest(
            task=str(self.file),
            methods=methods,
            split=REPORTED,
            fit_split=DECIDES,
            questions=len(self.held_out.of_split(REPORTED)),
            fit_questions=len(self.held_out.of_split(DECIDES)),
            max_tokens=self.max_tokens,
            seed=self.seed,
        )
        return await answer(request, context)


def only(context: Context, experts: Mapping[str, ExpertConfig]) -> Context:
    """The context with these experts in place of the zoo. Raises `ExpertError`."""
    config = context.config.model_copy(update={"experts": dict(experts)})
    return dataclasses.replace(context.only(resolve(config).values()), config=config)


@dataclass(frozen=True)
class SkillFigures:
    """A skill's questions of the split that is reported on. Accuracies are fractions."""

    before: Interval
    """The base's accuracy."""
    after: Interval
    """The grown expert's."""
    gain: Interval
    """After minus before, paired."""


def figures(result: RunResult, held_out: HeldOut, skill: str, seed: int) -> SkillFigures:
    """What the skill's expert gained over its base, on the questions that both replied to."""
    asked = {one.id for one in held_out.of_split(REPORTED, skill)}
    answers = {name: _rights(result, name) for name in (BASE, skill)}
    both = [id for id in answers[BASE] if id in asked and id in answers[skill]]
    if not both:
        raise NoAnswer(f"{skill}: it and its base have no question in common that both replied to")
    before, after = ([answers[name][id] for id in both] for name in (BASE, skill))
    return SkillFigures(
        wilson(int(sum(before)), len(both)),
        wilson(int(sum(after)), len(both)),
        paired_difference(after, before, seed=seed),
    )


def page(result: RunResult, merged: RunResult | None, grown: Sequence[str], notes: Sequence[str]) -> RunReport:
    """All of it as one report: every expert against its base, the merged one and the mixture against the best."""
    report = result.report
    rows = []
    if merged is not None:
        note = "the plain average of the experts that help, as one expert"
        rows = [merged.report.methods[0].model_copy(update={"method": MERGED, "note": note})]
    rights = {name: _rights(result, name) for name in (BASE, *grown, *(one.method for one in report.methods))}
    if merged is not None:
        rights[MERGED] = _rights(merged, "best")
    pairs = [(name, BASE) for name in grown]
    if "mixture" in rights:
        pairs = [("mixture", "best"), *([("mixture", MERGED), (MERGED, "best")] if merged else []), *pairs]
    return report.model_copy(
        update={
            "title": f"grow: {', '.join(grown)}",
            "command": " ".join(["collegium", *sys.argv[1:]]),
            "methods": [*report.methods, *rows],
            "comparisons": [
                Comparison(method=one, baseline=other, difference=paired_difference(*both), p=mcnemar(*both))
                for one, other in pairs
                if (both := _both(rights[one], rights[other]))[0]
            ],
            "decisions": [*report.decisions, *notes],
        }
    )


def _rights(result: RunResult, name: str) -> dict[str, float]:
    """Question id -> 1 right, 0 wrong, of the questions on which it did not fail."""
    outcome = next((one for one in result.outcomes if one.name == name), None)
    answers = outcome.answers if outcome else ()
    return {one.question.id: float(one.right) for one in answers if not one.failed}


def _both(one: Mapping[str, float], other: Mapping[str, float]) -> tuple[list[float], list[float]]:
    ids = [id for id in one if id in other]
    return [one[id] for id in ids], [other[id] for id in ids]
