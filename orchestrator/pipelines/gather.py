"""The gather pipeline: what RegMean and Fisher merging need to know of a model, from a file of texts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from orchestrator.config import StrictModel
from orchestrator.errors import BadInput
from orchestrator.evaluation.context import Context

MAX_BYTES = 2**28


class GatherRequest(StrictModel):
    """Gather what merge_method regmean (gram) or fisher needs to know of MODEL, by running it over TEXTS, one per
    line.

    OUT (safetensors) is named in the recipe: `parameters: {statistics: OUT}` of that model.
    """

    model: str = Field(min_length=1, description="Folder of the model.")
    texts: str = Field(min_length=1, description="UTF-8 file of texts, one per line.")
    out: str = Field(min_length=1, description="File for the statistics (safetensors).")
    kind: Literal["gram", "fisher"] = Field(default="gram", description="gram for regmean, fisher for fisher.")


@dataclass(frozen=True)
class GatheredStatistics:
    """What was gathered: from how many texts and tokens, and where it lies."""

    out: Path
    kind: Literal["gram", "fisher"]
    texts: int
    tokens: int


def gather(request: GatherRequest, context: Context) -> GatheredStatistics:
    """Run the model over the texts and write the statistics. Raises `BadInput` for a file without texts, `ExpertError`
    for a model that cannot be loaded."""
    from orchestrator.experts import statistics

    model, file, out = (Path(path).expanduser() for path in (request.model, request.texts, request.out))
    if not model.is_dir():
        raise BadInput(f"model: {model}: no such folder")
    lines = _lines(file)

    def report(tokens: int) -> None:
        context.note(f"gathering, {tokens:,} tokens")

    tokens = statistics.gather(model, lines, request.kind, out, report)
    return GatheredStatistics(out, request.kind, len(lines), tokens)


def _lines(file: Path) -> list[str]:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise BadInput(f"{file}: larger than {MAX_BYTES} bytes")
        lines = [line for line in file.read_text("utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise BadInput(f"texts: {file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}: not UTF-8: {error}") from error
    if not lines:
        raise BadInput(f"{file}: no lines")
    return lines
