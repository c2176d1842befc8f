"""What a pipeline's result leaves in its run folder."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import yaml

from agents.transcript import line
from orchestrator.evaluation.answer import AnswerResult
from orchestrator.evaluation.profile import Profile
from orchestrator.evaluation.report import write
from orchestrator.pipelines.glue import GlueResult
from orchestrator.run_folder import RunFolder


def store_profile(folder: RunFolder, found: Profile) -> None:
    """Write the correctness table and the matrix."""
    found.table.write(folder.path / "table.jsonl")
    folder.write("results.json", found.matrix.model_dump_json(indent=2))
    folder.finish()


def store(folder: RunFolder, result: AnswerResult) -> Path:
    """Write all of a run's results into its folder; the report's path."""
    rows = [
        {
            "question": one.question.id,
            "task": one.question.task,
            "expert": one.expert,
            "text": one.reply.text,
            "answer": one.reply.answer,
            "gold": one.question.answer,
            "right": one.right,
            "confidence": one.reply.confidence,
            "prompt_tokens": one.completion.prompt_tokens if one.completion else 0,
            "completion_tokens": one.completion.completion_tokens if one.completion else 0,
            "key": one.completion.key if one.completion else None,
            "error": one.error,
        }
        for one in result.replies.values()
    ]
    folder.write_rows("replies.parquet", rows)
    if result.profile:
        result.profile.table.write(folder.path / "table.jsonl")
    held = [transcript for outcome in result.outcomes for transcript in outcome.transcripts]
    if held:
        folder.write("transcripts.jsonl.gz", gzip.compress(b"".join(line(one) for one in held), 6, mtime=0))
    folder.write("manifest.json", json.dumps(result.report.manifest, indent=2))
    folder.write("results.json", result.report.model_dump_json(indent=2, exclude={"transcripts"}))
    path = folder.path / "report.html"
    write(result.report, path)
    folder.finish()
    return path.absolute()


def store_glue(folder: RunFolder, result: GlueResult) -> Path:
    """Write all results into the run's folder; the report's path."""
    result.profile.table.write(folder.path / "table.jsonl")
    folder.write("manifest.json", json.dumps(result.report.manifest, indent=2))
    folder.write("results.json", result.report.model_dump_json(indent=2))
    folder.write("matrix.json", result.profile.matrix.model_dump_json())
    folder.write("zoo.yaml", yaml.safe_dump(result.zoo, sort_keys=False))
    path = folder.path / "report.html"
    write(result.report, path)
    folder.finish()
    return path.absolute()
