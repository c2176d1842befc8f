"""The merge pipeline: a mergekit recipe and a folder in, one checkpoint in that folder out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from merging.device import chosen
from merging.merge import MergeSummary
from merging.merge import merge as merge_models
from merging.recipe import Recipe, load, parse
from merging.writer import WriteError
from orchestrator.config import StrictModel
from orchestrator.errors import BadInput, StorageError
from orchestrator.evaluation.context import Context


class MergeRequest(StrictModel):
    """Merge models into one: CONFIG is mergekit's YAML, OUT the folder for the result (it must not exist).

    Nothing is downloaded unless a model is no folder but a hub id. Paths are relative to the current folder.
    """

    recipe: str | dict[str, Any] = Field(description="mergekit's YAML: a file, or (from a program) what stands in it.")
    out: str = Field(min_length=1, description="Folder for the result; it must not exist.")
    seed: int = Field(default=0, ge=0, description="Seed of the methods that draw at random.")
    threads: int | None = Field(default=None, ge=1, description="Threads (default: the cores of this machine).")
    device: str = Field(default="cpu", description="cpu, cuda or cuda:1 (through torch), or auto: cuda if any.")
    shard_size: str = Field(default="5GB", description="Most bytes of one file of weights.")
    allow_nan: bool = Field(default=False, description="Merge weights that are infinite or not a number all the same.")

    @field_validator("shard_size")
    @classmethod
    def _a_size(cls, text: str) -> str:
        size_of(text)
        return text


def size_of(text: str) -> int:
    """Bytes of a size such as 5GB. Raises ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGT]?)B?", text.strip(), re.IGNORECASE)
    size = float(match[1]) * 1000 ** " KMGT".index(match[2].upper() or " ") if match else 0.0
    if not size >= 1:
        raise ValueError(f"{text[:40]!r} is no size such as 5GB")
    return int(size)


def recipe_of(request: MergeRequest) -> Recipe:
    """The request's recipe, checked. Raises `BadInput` naming file and key."""
    try:
        found = parse(request.recipe) if isinstance(request.recipe, dict) else load(Path(request.recipe).expanduser())
        return found.seeded(request.seed)
    except ValueError as error:
        raise BadInput(str(error)) from error


def merge(request: MergeRequest, context: Context) -> MergeSummary:
    """Write the merged checkpoint. Raises `BadInput` for what cannot be merged, `StorageError` for what cannot be
    written."""

    def progress(done: int, total: int) -> None:
        context.note(f"merging, {100 * done // max(1, total)}%")

    recipe = recipe_of(request)
    try:
        return merge_models(
            recipe,
            Path(request.out).expanduser(),
            threads=request.threads,
            device=chosen(request.device),
            shard_bytes=size_of(request.shard_size),
            allow_nan=request.allow_nan,
            progress=progress,
        )
    except WriteError as error:
        raise StorageError(str(error)) from error
    except ValueError as error:
        raise BadInput(str(error)) from error
