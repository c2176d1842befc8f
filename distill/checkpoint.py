"""Checkpoints of a training: trained tensors, the optimiser's moments, and where in the lessons it stands.

A checkpoint is a folder named by its step, moved into place whole, so that a kill at any time leaves the last good
one. Tensors are safetensors, all else is JSON: reading one runs nobody's code. Random states are not kept, since
every step seeds its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from distill.errors import TrainingError

if TYPE_CHECKING:
    import torch

KEPT = 2
MOMENTS = ("exp_avg", "exp_avg_sq")


class TrainingState(BaseModel):
    """Where a training stands."""

    model_config = ConfigDict(extra="forbid")

    digest: str = Field(description="Of specification and lessons: another training's checkpoint is refused.")
    step: int = 0
    tokens: int = 0
    epoch: int = 0
    place: int = Field(default=0, description="Lessons of this epoch that were read.")
    best: float | None = Field(default=None, description="Lowest validation loss.")
    best_step: int = 0
    waited: int = Field(default=0, description="Validations since the best.")
    seconds: float = 0.0


def save(
    folder: Path, state: TrainingState, tensors: Mapping[str, torch.Tensor], optimiser: torch.optim.Optimizer
) -> Path:
    """Write the checkpoint of a step below `folder`; older ones but the last are removed. Raises OSError."""
    from safetensors.torch import save_file

    flat = {f"value.{name}": tensor.detach().contiguous() for name, tensor in tensors.items()}
    for name, tensor in tensors.items():
        moments = optimiser.state.get(tensor, {})
        flat |= {f"{key}.{name}": moments[key].contiguous() for key in MOMENTS if key in moments}
    folder.mkdir(parents=True, exist_ok=True)
    draft, final = folder / f".{os.getpid()}", folder / f"{state.step:08d}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    save_file(flat, draft / "tensors.safetensors")
    (draft / "state.json").write_text(state.model_dump_json(indent=2) + "\n")
    for path in draft.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    shutil.rmtree(final, ignore_errors=True)
    draft.rename(final)
    for old in found(folder)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def found(folder: Path) -> list[Path]:
    """The checkpoints below a folder, oldest first."""
    return sorted(path for path in folder.glob("[0-9]*") if (path / "state.json").is_file())


def load(folder: Path, digest: str, tensors: Mapping[str, torch.Tensor], optimiser: Any) -> TrainingState | None:
    """Restore the newest checkpoint into `tensors` and `optimiser`; None where there is none.

    Raises:
        TrainingError: it belongs to another specification or other lessons, or is damaged.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    checkpoints = found(folder)
    if not checkpoints:
        return None
    newest = checkpoints[-1]
    try:
        state = TrainingState.model_validate_json((newest / "state.json").read_bytes())
        if state.digest != digest:
            raise TrainingError(f"{newest}: belongs to other settings or lessons; train into another folder, or afresh")
        flat = load_file(newest / "tensors.safetensors")
        with torch.no_grad():
            for name, tensor in tensors.items():
                tensor.copy_(flat[f"value.{name}"])
                if f"{MOMENTS[0]}.{name}" in flat:
                    moments = {key: flat[f"{key}.{name}"].to(tensor.device) for key in MOMENTS}
                    optimiser.state[tensor] = {"step": torch.tensor(float(state.step)), **moments}
    except TrainingError:
        raise
    except (OSError, KeyError, RuntimeError, SafetensorError, ValueError) as error:
        raise TrainingError(f"{newest}: damaged ({error!r:.200}); remove it to go on from the one before") from error
    return state
