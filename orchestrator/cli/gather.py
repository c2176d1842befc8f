"""`collegium gather MODEL TEXTS OUT`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console

from orchestrator.cli.options import positional
from orchestrator.cli.pipeline import Finished, pipeline_command
from orchestrator.pipelines.gather import GatheredStatistics, GatherRequest


def show(console: Console, finished: Finished[GatherRequest, GatheredStatistics]) -> None:
    """Say what was gathered and where it lies."""
    found = finished.result
    line = f"{found.out}: {found.kind} of {found.tokens:,} tokens in {found.texts} texts"
    console.print(line, soft_wrap=True, markup=False)


def document(finished: Finished[GatherRequest, GatheredStatistics]) -> dict[str, Any]:
    """The same as JSON."""
    return {**asdict(finished.result), "out": str(finished.result.out)}


command = positional(pipeline_command("gather", show, document), "model", "texts", "out")
