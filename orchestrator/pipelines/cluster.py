"""The cluster pipeline: which experts of a zoo are alike enough to be merged. Reads weights; runs no expert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from merging.adapter import Adapter
from merging.checkpoint import Checkpoint, CheckpointError
from merging.cluster import THRESHOLD, Clusters, Linkage, cluster
from merging.columns import SimilarityError
from merging.decoded import decoded
from merging.similarity import Similarity, families, similarity
from merging.stream import Model
from orchestrator.config import StrictModel
from orchestrator.errors import BadInput
from orchestrator.evaluation.context import Context
from orchestrator.evaluation.profile import chosen
from orchestrator.evaluation.report.data import Clustering, DendrogramFork
from orchestrator.experts.demo import locate
from orchestrator.inference.expert import Expert

SimilarityBasis = Literal["auto", "weights", "task_vectors"]


class ClusterRequest(StrictModel):
    """Group experts that are alike enough to be merged: same architecture and shapes, then cosine of their weights."""

    experts: list[str] = Field(default_factory=list, description="Experts to compare (default: all with weights).")
    by: SimilarityBasis = Field(
        default="auto",
        description="What to compare: weights, task_vectors (weights minus base), or auto: task vectors where experts "
        "are adapters over one base or --base fits.",
    )
    base: str | None = Field(default=None, description="Expert, checkpoint folder or demo/NAME to subtract.")
    threshold: float = Field(default=THRESHOLD, ge=-1, le=1, description="Minimum cosine within a cluster.")
    way: Linkage = Field(
        default="complete",
        description="complete (every pair reaches the threshold), average, single, or leader (the paper's, which "
        "depends on the order of the experts).",
    )


def cluster_experts(request: ClusterRequest, context: Context) -> Clustering:
    """Compare all pairs in one pass over the files. Raises `BadInput` naming the expert, the file or the tensor."""
    experts = context.experts
    asked = mergeable(chosen(experts, request.experts), named=bool(request.experts))
    opened: dict[Path, Checkpoint] = {}
    try:
        models = [_model(expert, opened) for expert in asked]
        base = _base(request.base, experts, opened) if request.base else None
        bases = _bases(request.by, [expert.name for expert in asked], models, base)
        found = similarity(models, bases)
    except (CheckpointError, SimilarityError) as error:
        raise BadInput(str(error)) from error
    names = [expert.name for expert in asked]
    groups = cluster(names, found.values, threshold=request.threshold, way=request.way)
    return _record(request, names, bases, found, groups)


def mergeable(experts: Sequence[Expert], *, named: bool = False) -> list[Expert]:
    """Those with weights of their own; `named` ones without are refused. Raises `BadInput` if none is left."""
    for expert in experts:
        if named and not expert.weights:
            kind = "a merge already" if expert.recipe else "not here as weights"
            raise BadInput(f"expert {expert.name!r} is {kind}: it cannot be clustered")
    found = [expert for expert in experts if expert.weights]
    if not found:
        raise BadInput("no expert of this zoo has weights here: there is nothing to cluster")
    return found


def _model(expert: Expert, opened: dict[Path, Checkpoint]) -> Model:
    assert expert.weights
    checkpoint = _opened(expert.weights.model, opened)
    return checkpoint, Adapter(expert.weights.adapter, checkpoint) if expert.weights.adapter else None


def _opened(folder: Path, opened: dict[Path, Checkpoint]) -> Checkpoint:
    if folder not in opened:
        opened[folder] = decoded(Checkpoint(folder))
    return opened[folder]


def _base(name: str, experts: Mapping[str, Expert], opened: dict[Path, Checkpoint]) -> Checkpoint:
    expert = experts.get(name)
    if expert is not None:
        if not expert.weights or expert.weights.adapter:
            raise BadInput(f"base: expert {name!r} is not a plain checkpoint")
        return _opened(expert.weights.model, opened)
    return _opened(locate(name) if name.startswith("demo/") else Path(name).expanduser().absolute(), opened)


def _bases(
    by: SimilarityBasis, names: Sequence[str], models: Sequence[Model], base: Checkpoint | None
) -> list[Checkpoint | None]:
    """What to subtract from each model. In one family all are treated alike, else they could not be compared."""
    if by == "weights":
        return [None] * len(models)
    kinds = families([*models, (base, None)] if base else models)
    bases: list[Checkpoint | None] = []
    for place, (checkpoint, _) in enumerate(models):
        family = [model for model, kind in zip(models, kinds, strict=False) if kind == kinds[place]]
        over_one = {id(other) for other, _ in family} == {id(checkpoint)} and any(adapter for _, adapter in family)
        if base and kinds[place] == kinds[-1]:
            bases.append(base)
        elif over_one:
            bases.append(checkpoint)
        elif by == "task_vectors":
            raise BadInput(f"expert {names[place]!r}: of what base is it a fine-tune? Name it with base")
        else:
            bases.append(None)
    return bases


def _record(
    request: ClusterRequest,
    names: Sequence[str],
    bases: Sequence[Checkpoint | None],
    found: Similarity,
    groups: Clusters,
) -> Clustering:
    return Clustering(
        experts=names,
        values=[[None if np.isnan(value) else round(float(value), 6) for value in row] for row in found.values],
        compared=["weights" if base is None else "task vectors" for base in bases],
        threshold=request.threshold,
        way=request.way,
        clusters=groups.groups,
        forks=[DendrogramFork(left=join.left, right=join.right, similarity=join.similarity) for join in groups.joins],
    )
