"""Merges as experts: from a search's candidate to a recipe-expert of this zoo, and to its score.

Nothing is written to disk: the worker merges into its live weights. Every answer is in the ledger, so that a search
that was cut short goes on where it was, by the same command.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from agents.question import Question
from merging.search import Candidate, group_of
from orchestrator.config import ExpertConfig
from orchestrator.evaluation.answering import ExpertReply, answer_all
from orchestrator.evaluation.context import Context
from orchestrator.evaluation.outcomes import check_scored
from orchestrator.experts.zoo import resolve
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Sampling

METHODS = ("linear", "task_arithmetic", "ties", "dare_linear", "dare_ties")
"""Methods that are searched: one weight a source, and for the last three a density."""
WITHOUT_BASE = ("linear",)
WITH_DENSITY = ("ties", "dare_linear", "dare_ties")


@dataclass
class Merges:
    """Candidates over some of the zoo's experts, the `sources`, scored by the questions they get right.

    `base`: the checkpoint that methods on task vectors subtract. `layers`: of the sources, for candidates with layer
    groups. `replies` keeps what every candidate answered: (question id, expert name).
    """

    name: str
    sources: Sequence[str]
    method: str
    base: str | None
    layers: int
    context: Context
    questions: Sequence[Question]
    sampling: Sampling
    seed: int
    known: dict[Candidate, Expert] = field(default_factory=dict)
    replies: dict[tuple[str, str], ExpertReply] = field(default_factory=dict)

    async def __call__(self, candidates: Sequence[Candidate], count: int) -> list[float]:
        """The share of the first `count` questions that each candidate gets right."""
        experts = [self.expert(candidate) for candidate in candidates]
        asked = list({expert.name: expert for expert in experts}.values())
        questions = self.questions[:count]
        pool, done = self.context.pool, self.context.done
        self.replies |= await answer_all(pool, asked, questions, self.sampling, self.seed, done)
        for expert in asked:
            check_scored({key: reply for key, reply in self.replies.items() if key[1] == expert.name})
        return [self._accuracy(expert, questions) for expert in experts]

    def _accuracy(self, expert: Expert, questions: Sequence[Question]) -> float:
        replied = [one for question in questions if (one := self.replies[question.id, expert.name]).error is None]
        return sum(one.right for one in replied) / max(1, len(replied))

    def expert(self, candidate: Candidate) -> Expert:
        """The candidate, checked. One source alone is that expert itself."""
        if candidate not in self.known:
            if len(candidate.used) == 1 and self._whole(candidate):
                name = self.sources[candidate.used[0]]
                entry = self.context.config.experts[name]
            else:
                name, entry = f"{self.name}.{len(self.known) + 1}", self.entry(candidate)
            alone = self.context.config.model_copy(update={"experts": {name: entry}})
            self.known[candidate] = resolve(alone)[name]
        return self.known[candidate]

    def entry(self, candidate: Candidate) -> ExpertConfig:
        """The candidate as a configuration has it."""
        recipe: dict[str, Any] = {
            "method": self.method,
            "sources": [self._source(candidate, index) for index in candidate.used],
            "seed": self.seed,
        }
        if self.method not in WITHOUT_BASE:
            recipe["base"] = self.base
        skills = [
            skill for index in candidate.used for skill in self.context.config.experts[self.sources[index]].skills
        ]
        return ExpertConfig.model_validate({"recipe": recipe, "skills": list(dict.fromkeys(skills))})

    def weights(self, candidate: Candidate) -> dict[str, float]:
        """Source -> weight, those left out left out."""
        return {self.sources[index]: round(candidate.mean[index], 4) for index in candidate.used}

    @staticmethod
    def _whole(candidate: Candidate) -> bool:
        """Its one source, unchanged."""
        dense = all(row[candidate.used[0]] == 1 for row in candidate.densities)
        return dense and all(row[candidate.used[0]] == 1 for row in candidate.weights)

    def _source(self, candidate: Candidate, index: int) -> dict[str, Any]:
        entry = self.context.config.experts[self.sources[index]]
        source: dict[str, Any] = {"model": entry.model}
        if entry.adapter:
            source["adapter"] = entry.adapter
        if len(candidate.weights) == 1:
            source["weight"] = candidate.weights[0][index]
        more = {"weight": candidate.weights if len(candidate.weights) > 1 else (), "density": candidate.densities}
        parameters = {name: self._by_layer(rows, index) for name, rows in more.items() if rows}
        return source | ({"parameters": parameters} if parameters else {})

    def _by_layer(self, rows: Sequence[Sequence[float]], index: int) -> Any:
        """One source's coefficients as a merge's parameter: a number, or one a layer and one for the rest."""
        if len(rows) == 1:
            return rows[0][index]
        groups = len(rows) - 1
        each = [rows[group_of(layer, self.layers, groups)][index] for layer in range(self.layers)]
        return [{"filter": ".layers.", "value": each}, {"value": rows[0][index]}]
