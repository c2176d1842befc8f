"""`collegium cluster`."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.text import Text

from orchestrator.cli.options import request_command
from orchestrator.collegium import light_context
from orchestrator.config import Config
from orchestrator.evaluation.report import RunReport, write
from orchestrator.evaluation.report.clusters import dendrogram, similarity_table
from orchestrator.evaluation.report.data import Clustering
from orchestrator.evaluation.report.formats import plain
from orchestrator.pipelines.cluster import ClusterRequest, cluster_experts
from orchestrator.run_folder import RunFolder, machine, manifest


def cluster(config: Config, request: ClusterRequest, *, as_json: bool) -> None:
    context = light_context(config)
    found, experts = cluster_experts(request, context), context.experts
    folder = RunFolder.open(config, "cluster", request)
    folder.write("results.json", found.model_dump_json(indent=2))
    report = RunReport(
        title=f"Clusters of {len(found.experts)} experts",
        command=" ".join(["collegium", *sys.argv[1:]]),
        created=datetime.now(UTC),
        split="",
        fitted_on="",
        seed=config.seed,
        methods=[],
        machine=machine(),
        clustering=found,
        manifest=manifest({name: experts[name].fingerprint for name in found.experts}, {}),
    )
    path = folder.path / "report.html"
    write(report, path)
    folder.finish()
    if as_json:
        click.echo(json.dumps({"report": str(path.absolute()), **found.model_dump(mode="json")}))
        return
    console = Console(highlight=False)
    show(console, found)
    console.print(f"Report: {path.absolute()}", soft_wrap=True)


def show(console: Console, found: Clustering) -> None:
    """Matrix, dendrogram and clusters."""
    console.print(similarity_table(found))
    console.print()
    console.print(dendrogram(found, min(console.width, 100)), soft_wrap=True)
    console.print()
    for place, group in enumerate(found.clusters, 1):
        console.print(Text(f"{place}. {plain(', '.join(group))}"))


command = request_command("cluster", ClusterRequest, cluster)
