"""Every pipeline as one coroutine of one form: request, context, run folder -> result."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.evaluation.context import Context

if TYPE_CHECKING:
    from merging.merge import MergeSummary
    from orchestrator.evaluation.answer import RunRequest, RunResult
    from orchestrator.evaluation.convincing import ConvincingRequest, ConvincingResult
    from orchestrator.evaluation.eval_router import EvalRouterRequest
    from orchestrator.evaluation.profile import Profile, ProfileRequest
    from orchestrator.evaluation.prune import PruneRequest, Pruning
    from orchestrator.evaluation.report.data import Clustering
    from orchestrator.evaluation.route import RouteRequest, RoutingResult
    from orchestrator.pipelines.check import CheckRequest, CheckResult
    from orchestrator.pipelines.cluster import ClusterRequest
    from orchestrator.pipelines.distill import DistillRequest, Taught
    from orchestrator.pipelines.distill_compare import DistillResult
    from orchestrator.pipelines.distill_generate import Generated, GenerateRequest
    from orchestrator.pipelines.gather import GatheredStatistics, GatherRequest
    from orchestrator.pipelines.glue import GlueRequest, GlueResult
    from orchestrator.pipelines.grow import GrowRequest, GrowResult
    from orchestrator.pipelines.merge import MergeRequest
    from orchestrator.pipelines.teaching import TeachRequest
    from orchestrator.pipelines.train import TrainedExpert, TrainRequest
    from router.evaluate import Evaluation


async def profile(request: ProfileRequest, context: Context, folder: Path) -> Profile:
    """Run the pipeline `profile`."""
    from orchestrator.evaluation.profile import profile

    return await profile(request, context)


async def run(request: RunRequest, context: Context, folder: Path) -> RunResult:
    """Run the pipeline `run`."""
    from orchestrator.evaluation.answer import answer
    from orchestrator.evaluation.compare import compare

    found = await (compare if request.compare else answer)(request, context)
    return replace(found, folder=folder)


async def route(request: RouteRequest, context: Context, folder: Path) -> RoutingResult:
    """Run the pipeline `route`."""
    from orchestrator.evaluation.route import route

    return await asyncio.to_thread(route, request, context)


async def eval_router(request: EvalRouterRequest, context: Context, folder: Path) -> Evaluation:
    """Run the pipeline `eval_router`."""
    from orchestrator.evaluation.eval_router import eval_router

    return await asyncio.to_thread(eval_router, request, context)


async def prune(request: PruneRequest, context: Context, folder: Path) -> Pruning:
    """Run the pipeline `prune`."""
    from orchestrator.evaluation.prune import prune

    return await asyncio.to_thread(prune, request, context)


async def convincing(request: ConvincingRequest, context: Context, folder: Path) -> ConvincingResult:
    """Run the pipeline `convincing`."""
    from orchestrator.evaluation.convincing import ConvincingResult, convincing

    return ConvincingResult(samples=await convincing(request, context))


async def cluster(request: ClusterRequest, context: Context, folder: Path) -> Clustering:
    """Run the pipeline `cluster`."""
    from orchestrator.experts.zoo import resolve
    from orchestrator.pipelines.cluster import cluster_experts

    read_only = dataclasses.replace(context, zoo=functools.cache(lambda: resolve(context.config, asked=False)))
    return await asyncio.to_thread(cluster_experts, request, read_only)


async def glue(request: GlueRequest, context: Context, folder: Path) -> GlueResult:
    """Run the pipeline `glue`."""
    from orchestrator.pipelines.glue import glue

    return await glue(request, context)


async def merge(request: MergeRequest, context: Context, folder: Path) -> MergeSummary:
    """Run the pipeline `merge`."""
    from orchestrator.pipelines.merge import merge

    return await asyncio.to_thread(merge, request, context)


async def gather(request: GatherRequest, context: Context, folder: Path) -> GatheredStatistics:
    """Run the pipeline `gather`."""
    from orchestrator.pipelines.gather import gather

    return await asyncio.to_thread(gather, request, context)


async def check(request: CheckRequest, context: Context, folder: Path) -> CheckResult:
    """Run the pipeline `check`."""
    from orchestrator.pipelines.check import check

    return await asyncio.to_thread(check, request, context)


async def train(request: TrainRequest, context: Context, folder: Path) -> TrainedExpert:
    """Run the pipeline `train`."""
    from orchestrator.pipelines.train import train

    return await asyncio.to_thread(train, request, context, folder)


async def grow(request: GrowRequest, context: Context, folder: Path) -> GrowResult:
    """Run the pipeline `grow`."""
    from orchestrator.pipelines.grow import grow

    return await grow(request, context, folder)


async def generate(request: GenerateRequest, context: Context, folder: Path) -> Generated:
    """Run the pipeline that generates transcripts."""
    from orchestrator.pipelines.distill_generate import generate

    return await generate(request, context, folder)


async def teach(request: TeachRequest, context: Context, folder: Path) -> Taught:
    """Run the pipeline that trains one student."""
    from orchestrator.pipelines.distill import teach
    from orchestrator.pipelines.teaching import steps_of

    report = steps_of(request.name, context.note)
    return await asyncio.to_thread(teach, request, folder, experts=context.experts, report=report)


async def distill(request: DistillRequest, context: Context, folder: Path) -> DistillResult:
    """Run the pipeline that compares students."""
    from orchestrator.pipelines.distill_compare import distill

    return await distill(request, context, folder)
