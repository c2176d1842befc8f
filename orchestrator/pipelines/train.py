"""The train pipeline: a LoRA expert from generated tasks, by a specification, as the demo zoo's were made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from orchestrator.config import StrictModel, demo_zoo
from orchestrator.errors import BadInput
from orchestrator.evaluation.context import Context


class TrainRequest(StrictModel):
    """Train a LoRA expert on generated tasks, as the demo zoo's were. Takes some minutes on two cores."""

    name: str = Field(
        max_length=100, pattern=r"^[A-Za-z0-9][\w.-]*$", description="Name of the expert, and of the adapter's folder."
    )
    spec: str | None = Field(default=None, description="Training specification (default: the demo zoo's of this name).")
    out: str | None = Field(default=None, description="Folder for the adapter (default: NAME, in the run folder).")


@dataclass(frozen=True)
class TrainedExpert:
    """An adapter and how its training went."""

    folder: Path
    steps: int
    tokens: int
    seconds: float
    loss: float | None
    """Mean next-token loss of the last step."""


def train(request: TrainRequest, context: Context, folder: Path) -> TrainedExpert:
    """Train the adapter; an interrupted training goes on from its last checkpoint. Raises `BadInput` where there is no
    specification, `ConfigError` naming what of it cannot be used."""
    from orchestrator.pipelines.adapter_training import SPECIFICATION, AdapterSpec
    from orchestrator.pipelines.adapter_training import train as train_adapter
    from orchestrator.pipelines.teaching import steps_of

    known = demo_zoo().parent
    path = Path(request.spec).expanduser() if request.spec else known / request.name / SPECIFICATION
    if not path.exists():
        names = sorted(each.parent.name for each in known.glob(f"*/{SPECIFICATION}"))
        raise BadInput(f"no specification {path}; the demo zoo has {', '.join(names)}")
    out = (Path(request.out).expanduser() if request.out else folder / request.name).absolute()

    last = train_adapter(AdapterSpec.read(path), out, steps_of(request.name, context.note))
    return TrainedExpert(out, last.steps, last.tokens, last.seconds, last.next_token)
