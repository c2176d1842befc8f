"""Clusters of given experts, without workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.evaluation.context import Context
from orchestrator.evaluation.report.data import Clustering
from orchestrator.inference.expert import Expert
from orchestrator.pipelines.cluster import ClusterRequest, cluster_experts


def clustered(request: ClusterRequest, experts: Mapping[str, Expert]) -> Clustering:
    nothing: Any = None
    return cluster_experts(request, Context(nothing, lambda: experts, nothing, nothing))
