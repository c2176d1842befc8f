"""The glue pipeline, Model-GLUE: cluster, filter and search, merge, and a mixture of what is worth keeping.

https://arxiv.org/abs/2410.05357. A zoo in, a better zoo out. Everything is decided on one split and reported on
another (the paper does both on the same questions).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from agents.question import Question
from merging import search
from merging.checkpoint import Checkpoint
from merging.cluster import THRESHOLD, Linkage
from merging.search import Candidate, Heuristic, Space, evolve, heuristic, sizes_of
from orchestrator.errors import BadInput
from orchestrator.evaluation.answer import RunRequest, RunResult, answer
from orchestrator.evaluation.context import Context
from orchestrator.evaluation.profile import (
    AskingRequest,
    Profile,
    ProfileRequest,
    chosen,
    correctness,
    profile,
    questions_of,
)
from orchestrator.evaluation.report.data import Clustering, ExpertFate, Glue, RunReport, Search, SearchTrial
from orchestrator.evaluation.report.page import notebook_frame
from orchestrator.inference.expert import Expert
from orchestrator.old_names import renamed
from orchestrator.pipelines.cluster import ClusterRequest, SimilarityBasis, cluster_experts
from orchestrator.pipelines.glue_report import BEST, FULL, GLUE, MIXTURE, UNMERGED, glue_report
from orchestrator.pipelines.members import MemberEstimate
from orchestrator.pipelines.merges import WITH_DENSITY, WITHOUT_BASE, Merges
from orchestrator.pipelines.mixture_checkpoint import (
    ANY_ENGINE,
    MixtureForm,
    check_dense_layers,
    mixture_checkpoint,
    sole_owners,
)

MAX_TRIALS = 100_000


class GlueRequest(AskingRequest):
    """Make a better zoo of this one: cluster, search merges, drop who does not help, and compare."""

    out: str | None = Field(default=None, description="Also write the new zoo to this file.")
    select_split: str = Field(default="validation", description="The split on which everything is decided.")
    select_questions: int = Field(default=200, ge=2, le=1_000_000, description="Number of questions from that split.")
    split: str = Field(default="test", description="The split to report on.")
    questions: int = Field(default=200, ge=1, le=1_000_000, description="Number of questions from that split.")
    by: SimilarityBasis = Field(default="auto", description="Cluster by weights, task_vectors or auto.")
    base: str | None = Field(default=None, description="Expert, checkpoint folder or demo/NAME: the fine-tunes' base.")
    threshold: float = Field(default=THRESHOLD, ge=-1, le=1, description="Minimum cosine within a cluster.")
    way: Linkage = Field(default="complete", description="complete, average, single or leader.")
    method: Literal["linear", "task_arithmetic", "ties", "dare_linear", "dare_ties"] = Field(
        default="linear", description="How clusters are merged; all but linear need a base."
    )
    groups: int = Field(
        default=0, ge=0, le=256, description="Layer groups with coefficients of their own in CMA-ES; 0: one for all."
    )
    heuristic: Heuristic = Field(default="average", description="average, coefficient, similar or dissimilar.")
    trials: int = Field(default=200, ge=0, le=MAX_TRIALS, description="CMA-ES candidates per merge; 0: no search.")
    sample: int | None = Field(
        default=None, ge=1, description="Questions on which a candidate is first judged (default: a quarter)."
    )
    min_gain: float = Field(
        default=0.015,
        ge=0,
        le=1,
        description="Minimum gain in routed accuracy for which an expert is kept (share, 0 to 1).",
    )
    ffn_questions: int = Field(
        default=0,
        ge=0,
        description="Also write a mixture of --mixture-form (slow; disk for all MLPs or layers) and ask it so many of "
        "them; 0: not.",
    )
    mixture_form: MixtureForm = Field(
        default=ANY_ENGINE,
        description="F: MLPs or B: layers behind L: linear or M: two-layer gates, T: a route a token or S: one for the "
        "whole answer. All but F-L-T need the transformers engine.",
    )
    dense_layers: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Hybrid: number of lowest layers of the mixture that are merged instead of routed; 0: none.",
    )
    full_merging: bool = Field(default=True, description="Also merge all experts of the largest shape, to compare.")

    @model_validator(mode="before")
    @classmethod
    def _old_names(cls, data: Any) -> Any:
        return renamed(data, "glue", {"least_gain": "min_gain"})

    @model_validator(mode="after")
    def _honest(self) -> GlueRequest:
        if self.split == self.select_split:
            raise ValueError(f"select_split: cannot decide and report on the same split ({self.split})")
        if self.dense_layers and not self.ffn_questions:
            raise ValueError("dense_layers: belongs to the mixture in one checkpoint: set ffn_questions too")
        return self


@dataclass(frozen=True)
class GlueResult:
    """The report; the new zoo as a configuration has it; the profile that everything was decided on; and what each way
    of the comparison answered (a service does not send that)."""

    report: RunReport
    zoo: dict[str, Any]
    profile: Profile
    results: Mapping[str, RunResult] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        return notebook_frame(self.report)


@dataclass(frozen=True)
class _Gluing:
    """One run of the pipeline."""

    request: GlueRequest
    context: Context
    seed: int
    questions: Sequence[Question]
    """Of the split on which everything is decided."""


@dataclass(frozen=True)
class _Merge:
    """A finished search: the best merge of at least two sources, also as an expert. It need not be better than its
    best source alone."""

    merges: Merges
    candidate: Candidate
    expert: Expert
    record: Search


async def glue(request: GlueRequest, context: Context) -> GlueResult:
    """Raises `BadInput` before anything is asked: a zoo that cannot be clustered, a task without such a split, a
    method without its base, more layer groups than layers."""
    seed = context.seed(request.seed)
    if request.ffn_questions and request.mixture_form != ANY_ENGINE and context.engine.startswith("vllm"):
        raise BadInput(f"mixture_form: {request.mixture_form} runs on the transformers engine only (workers.engine)")
    asked = {expert.name: expert for expert in chosen(context.experts, request.experts)}
    context = context.only(asked.values())
    clustering = await asyncio.to_thread(_clusters, request, context)
    questions = questions_of(request.task, request.select_split, request.select_questions, seed, request.columns)
    questions_of(request.task, request.split, request.questions, seed, request.columns)
    setting = _Gluing(request, context, seed, questions)
    everyone = _largest_family(clustering)
    check_dense_layers(request.dense_layers, [asked[name] for name in everyone])
    merged_whole = [everyone] if request.full_merging else []
    groups = dict.fromkeys(tuple(sorted(group)) for group in [*clustering.clusters, *merged_whole] if len(group) > 1)
    plans = [_planned(setting, f"merge-{number}", group) for number, group in enumerate(groups, 1)]
    found = await _profile(setting)
    searched = [await _search(setting, merges, clustering, found) for merges in plans]
    table, merged = _with_merges(setting, found, searched)
    features = await asyncio.to_thread(context.embedder.features, table.questions)
    routed = MemberEstimate.of(table, features, seed)
    members = routed.members(request.min_gain)
    full = next((one for one in searched if merged_whole and set(one.merges.sources) == set(everyone)), None)
    made = {name: merged[name].expert for name in members if name in merged}
    level = await asyncio.to_thread(_ffn, setting, everyone, members, routed)
    results = await _compared(setting, [made.get(name) or asked[name] for name in members], full, level)
    fates = _fates(asked, members, merged, searched, routed)
    record = Glue(
        decided_on=f"{len(questions)} questions of split {request.select_split}",
        searches=[one.record for one in searched],
        fates=fates,
    )
    report = glue_report(results, clustering, record, everyone, seed)
    return GlueResult(report, _zoo(setting, members, merged), found, results)


def _clusters(request: GlueRequest, context: Context) -> Clustering:
    wanted = ClusterRequest(by=request.by, base=request.base, threshold=request.threshold, way=request.way)
    return cluster_experts(wanted, context)


async def _profile(setting: _Gluing) -> Profile:
    keys = set(AskingRequest.model_fields)
    request = setting.request
    asking = ProfileRequest(
        **request.model_dump(include=keys), split=request.select_split, questions=request.select_questions
    )
    return await profile(asking, setting.context)


def _largest_family(clustering: Clustering) -> tuple[str, ...]:
    """All experts of one shape, of the shape that most have."""
    families = {
        tuple(other for other, value in zip(clustering.experts, row, strict=True) if value is not None)
        for row in clustering.values
    }
    return max(sorted(families), key=len)


def _planned(setting: _Gluing, name: str, group: Sequence[str]) -> Merges:
    """The search's candidates; whatever is wrong with the request shows here."""
    request = setting.request
    layers = _layers(setting.context.experts[group[0]])
    if request.groups > layers:
        raise BadInput(f"groups: {request.groups} groups of {layers} layers ({group[0]})")
    return Merges(
        name=name,
        sources=group,
        method=request.method,
        base=_base_of(setting, group),
        layers=layers,
        context=setting.context,
        questions=setting.questions,
        sampling=request.sampling,
        seed=setting.seed,
    )


async def _search(setting: _Gluing, merges: Merges, clustering: Clustering, found: Profile) -> _Merge:
    """Filter by the heuristic, look at all in equal parts, then CMA-ES from the best merge so far."""
    request, asked, group = setting.request, len(setting.questions), merges.sources
    right = np.nan_to_num(found.table.correct).mean(0)
    alone = [float(right[found.table.experts.index(source)]) for source in group]
    places = [list(clustering.experts).index(source) for source in group]
    alike = np.array([[clustering.values[i][j] for j in places] for i in places], float)
    sizes = sizes_of(asked, request.sample)
    filtered = await heuristic(alone, merges, kind=request.heuristic, sizes=sizes, similarity=alike)
    equal = Candidate(((1 / len(group),) * len(group),))
    (score,) = await merges([equal], asked)
    trials = [*filtered.trials, search.Trial("equal", equal, score, asked, best=score > filtered.score)]
    best = _best_merge(trials, asked)
    if request.trials:
        space = Space(len(group), request.groups, request.method in WITH_DENSITY)
        start = (best.candidate, best.score)
        evolved = await evolve(space, start, merges, sizes=sizes, trials=request.trials, seed=setting.seed)
        trials += evolved.trials
        best = _best_merge(trials, asked)
    return _Merge(merges, best.candidate, merges.expert(best.candidate), _search_record(merges, trials, best))


def _base_of(setting: _Gluing, group: Sequence[str]) -> str | None:
    """What task vectors are taken from: the base that was named, else the one checkpoint under the group's adapters."""
    method, named = setting.request.method, setting.request.base
    if method in WITHOUT_BASE:
        return None
    if named:
        return setting.context.config.experts[named].model if named in setting.context.config.experts else named
    entries = [setting.context.config.experts[name] for name in group]
    models = {entry.model for entry in entries}
    if len(models) > 1 or not any(entry.adapter for entry in entries):
        raise BadInput(f"method {method}: of what base are {', '.join(group)} fine-tunes? Name it with base")
    return models.pop()


def _layers(expert: Expert) -> int:
    """How many layers its configuration says it has; 0 where it does not."""
    found = Checkpoint(expert.folder).config.get("num_hidden_layers")
    return found if isinstance(found, int) and 0 < found < 100_000 else 0


def _best_merge(trials: Sequence[search.Trial], asked: int) -> search.Trial:
    """The best of those that were asked everything and have more than one source."""
    real = [trial for trial in trials if trial.questions == asked and len(trial.candidate.used) > 1]
    return max(real, key=lambda trial: trial.score)


def _search_record(merges: Merges, trials: Sequence[search.Trial], best: search.Trial) -> Search:
    return Search(
        name=merges.name,
        method=merges.method,
        sources=merges.sources,
        trials=[
            SearchTrial(
                stage=trial.stage,
                weights=merges.weights(trial.candidate),
                score=trial.score,
                questions=trial.questions,
                best=trial.best,
            )
            for trial in trials
        ],
        weights=merges.weights(best.candidate),
        score=best.score,
        questions=best.questions,
    )


def _with_merges(setting: _Gluing, found: Profile, searched: Sequence[_Merge]) -> tuple[Any, dict[str, _Merge]]:
    """The profile's table with a column for each merge, and the merges by their experts' names."""
    merged = {one.expert.name: one for one in searched}
    replies = {**found.replies}
    for name, one in merged.items():
        replies |= {key: reply for key, reply in one.merges.replies.items() if key[1] == name}
    return correctness(setting.questions, [*setting.context.experts, *merged], replies), merged


def _ffn(setting: _Gluing, family: Sequence[str], members: Sequence[str], routed: MemberEstimate) -> Expert | None:
    """The members of the largest family as one checkpoint, where it is asked for."""
    if not setting.request.ffn_questions:
        return None
    names = [name for name in family if name in members]
    right = routed.correct[:, [routed.experts.index(name) for name in names]]
    experts = [setting.context.experts[name] for name in names]
    return mixture_checkpoint(
        experts,
        setting.questions,
        sole_owners(right),
        setting.context.config,
        setting.request.mixture_form,
        dense_layers=setting.request.dense_layers,
    )


async def _compared(
    setting: _Gluing, members: Sequence[Expert], full: _Merge | None, level: Expert | None
) -> dict[str, RunResult]:
    """The report split, answered by the best single expert, by everything merged, and by the new zoo."""
    request = setting.request
    keys = set(AskingRequest.model_fields) - {"experts"}

    async def ask(method: str, experts: Iterable[Expert], count: int = request.questions) -> RunResult:
        asking = RunRequest(
            **request.model_dump(include=keys),
            methods=[method],
            split=request.split,
            questions=min(count, request.questions),
            fit_split=request.select_split,
            fit_questions=request.select_questions,
        )
        return await answer(asking, setting.context.only(experts))

    plans = {BEST: ask("best", setting.context.experts.values()), GLUE: ask("mixture", members)}
    plans[UNMERGED] = ask("mixture", setting.context.experts.values())
    if full is not None:
        plans[FULL] = ask("best", [full.expert])
    if level is not None:
        # The oracle of one expert is that expert; unlike `best` it needs no profile, which would take very long.
        plans[level.name + MIXTURE] = ask("each", [level], request.ffn_questions)
    answered = await asyncio.gather(*plans.values())
    return dict(zip(plans, answered, strict=True))


def _fates(
    asked: Mapping[str, Expert],
    members: Sequence[str],
    merged: Mapping[str, _Merge],
    searched: Sequence[_Merge],
    routed: MemberEstimate,
) -> list[ExpertFate]:
    """What became of each expert. A dropped one is told what asking it would have changed."""
    without = routed.accuracy(members)
    fates = []
    for name in asked:
        alone = f"{routed.accuracy([name]):.1%} right alone"
        into = [merge for merge in members if merge in merged and name in merged[merge].record.weights]
        if name in members:
            others = [other for other in members if other != name]
            less = f"; without it the mixture would fall to {routed.accuracy(others):.1%}" if others else ""
            fates.append(ExpertFate(expert=name, fate="kept", why=alone + less))
        elif into:
            weights = ", ".join(f"{merge} (weight {merged[merge].record.weights[name]:g})" for merge in into)
            fates.append(ExpertFate(expert=name, fate="merged", why=f"{alone}; merged into {weights}"))
        else:
            reason = f"{alone}; the mixture answers {without:.1%} without it, "
            reason += f"{routed.accuracy([*members, name]):.1%} with it"
            tried = [
                one.record.name for one in searched if name in one.merges.sources and name not in one.record.weights
            ]
            if tried:
                reason += f"; {', '.join(tried)} got worse with it"
            fates.append(ExpertFate(expert=name, fate="dropped", why=reason))
    return fates


def _zoo(setting: _Gluing, members: Sequence[str], merged: Mapping[str, _Merge]) -> dict[str, Any]:
    """The new zoo as YAML has it, with absolute paths."""
    entries = {}
    for name in members:
        one = merged.get(name)
        entry = one.merges.entry(one.candidate) if one else setting.context.config.experts[name]
        entries[name] = entry.model_dump(mode="json", exclude_defaults=True)
    return {"experts": entries}
