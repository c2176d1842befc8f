"""The merge pipeline: a mergekit recipe and a folder in, one checkpoint in that folder out."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator, model_validator

from merging.device import chosen
from merging.merge import MergeSummary
from merging.merge import merge as merge_models
from merging.recipe import Recipe
from merging.recipe_file import MixtureRecipe, load, parse
from merging.writer import WriteError
from orchestrator.config import StrictModel
from orchestrator.errors import BadInput, StorageError

if TYPE_CHECKING:
    from orchestrator.evaluation.context import Context

_BYTES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_PARAMETERS = {"K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_WIDTHS = {"F64": 8, "F32": 4}
"""Bytes of a number of other types than the usual two."""


class MergeRequest(StrictModel):
    """Merge models into one: CONFIG is mergekit's YAML, OUT the folder for the result (it must not exist).

    Several documents in CONFIG are one pipeline; a mergekit-moe file makes a mixture of experts. Nothing is downloaded
    unless a model is no folder but a hub id. Paths are relative to the current folder. mergekit's own options are
    understood, and those that are not needed here are named.
    """

    recipe: str | dict[str, Any] = Field(
        description="mergekit's YAML: a file, or (from a program) what stands in it; a model with extract_lora or "
        "tokens_from."
    )
    out: str = Field(min_length=1, description="Folder for the result; it must not exist.")
    seed: int = Field(default=0, ge=0, description="Seed of the methods that draw at random.")
    threads: int | None = Field(default=None, ge=1, description="Threads (default: one per core).")
    device: str = Field(default="cpu", description="cpu, cuda or cuda:1 (through torch), or auto: cuda if any.")
    shard_size: str = Field(
        default="5GB",
        description="Size of one file of weights: bytes (5GB), or parameters as mergekit counts them (1B, 500M).",
    )
    allow_nan: bool = Field(default=False, description="Merge weights that are infinite or not a number all the same.")
    allow_bin: bool = Field(default=False, description="Read pytorch_model.bin through torch's weights-only loader.")
    extract_lora: str | None = Field(
        default=None, description="CONFIG is a model: write what it adds to this base as a LoRA adapter."
    )
    rank: int = Field(default=32, ge=1, le=4096, description="Rank of extract_lora.")
    tokens_from: str | None = Field(
        default=None, description="CONFIG is a model: write it with the tokenizer of this model."
    )

    @field_validator("shard_size")
    @classmethod
    def _a_size(cls, text: str) -> str:
        size_of(text)
        return text

    @model_validator(mode="after")
    def _one_kind(self) -> MergeRequest:
        if self.extract_lora and self.tokens_from:
            raise ValueError("extract_lora and tokens_from exclude one another")
        if (self.extract_lora or self.tokens_from) and isinstance(self.recipe, dict):
            raise ValueError("recipe: wants a model where extract_lora or tokens_from is set")
        return self


def size_of(text: str, dtype: str | None = None) -> int:
    """Bytes of a size: 5GB is bytes, 1B and 500M are parameters of the type `dtype`, as mergekit counts them. Raises
    ValueError.

    B alone means a thousand million in this world, and never one byte.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKMGTB]?)(B?)", text.strip())
    if match:
        number, unit, byte = float(match[1]), match[2].upper(), match[3]
        if byte or unit in ("", "G"):
            size = number * _BYTES.get(unit, 0)
        else:
            size = number * _PARAMETERS[unit] * _WIDTHS.get(dtype or "", 2)
        if size >= 1:
            return int(size)
    raise ValueError(f"{text[:40]!r} is no size such as 5GB (bytes) or 1B (parameters)")


def recipe_of(request: MergeRequest) -> Recipe:
    """The request's recipe, checked. Raises `BadInput` naming file and key, `MixtureRecipe` for a mergekit-moe file."""
    try:
        found = parse(request.recipe) if isinstance(request.recipe, dict) else load(Path(request.recipe).expanduser())
        return found.seeded(request.seed)
    except MixtureRecipe:
        raise
    except ValueError as error:
        raise BadInput(str(error)) from error


def merge(request: MergeRequest, context: Context) -> MergeSummary:
    """Write the merged checkpoint. Raises what `written` raises."""
    return written(request, context.note)


def written(request: MergeRequest, note: Callable[[str], None]) -> MergeSummary:
    """Write the merged checkpoint; `note` hears how much is done. Raises `BadInput` for what cannot be merged,
    `StorageError` for what cannot be written."""
    try:
        return _made(request, note)
    except WriteError as error:
        raise StorageError(str(error)) from error
    except ValueError as error:
        raise BadInput(str(error)) from error


def _made(request: MergeRequest, note: Callable[[str], None]) -> MergeSummary:
    out, model = Path(request.out).expanduser(), str(request.recipe)
    if request.extract_lora:
        from merging.extract_lora import extract_lora

        return extract_lora(model, request.extract_lora, out, rank=request.rank, allow_bin=request.allow_bin)
    if request.tokens_from:
        from merging.transplant import transplant_tokens

        return transplant_tokens(model, request.tokens_from, out, allow_bin=request.allow_bin)
    try:
        recipe = recipe_of(request)
    except MixtureRecipe:
        from orchestrator.pipelines.mixture_file import mixture_from_file

        if isinstance(request.recipe, dict):
            raise
        file = Path(request.recipe).expanduser()
        return mixture_from_file(file, out, seed=request.seed, allow_bin=request.allow_bin)

    def progress(done: int, total: int) -> None:
        note(f"merging, {100 * done // max(1, total)}%")

    return merge_models(
        recipe,
        out,
        threads=request.threads,
        device=chosen(request.device),
        shard_bytes=size_of(request.shard_size, recipe.dtype),
        allow_nan=request.allow_nan,
        allow_bin=request.allow_bin,
        progress=progress,
    )
