"""Training on several workers: Ray Train starts the processes, each takes its share of every step's batches.

The folder must be one that all of them see. Gradients are those of one process, up to the order of additions.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distill.corpus import CorpusSummary
from orchestrator.errors import CollegiumError
from orchestrator.pipelines.teaching import TeachRequest, train_in


def train_on_workers(
    folder: Path, request: TeachRequest, base: Path, sifted: CorpusSummary, card: Mapping[str, Any]
) -> float:
    """Train on `request.workers` processes and write the student to `folder`; the epochs that it took.

    Raises:
        CollegiumError: a worker failed; the same command goes on from the last checkpoint.
    """
    import ray
    import torch
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False, object_store_memory=100 * 2**20)
    settings = {
        "folder": str(folder.absolute()),
        "request": request.model_dump(mode="json"),
        "base": str(base),
        "sifted": sifted.model_dump(),
        "card": dict(card),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = TorchTrainer(
            _work,
            train_loop_config=settings,
            scaling_config=ScalingConfig(num_workers=request.workers, use_gpu=torch.cuda.is_available()),
            run_config=RunConfig(name="ray", storage_path=str(folder.absolute())),
        )
        try:
            trainer.fit()
        except Exception as error:
            raise CollegiumError(f"{folder}: training on {request.workers} workers failed: {error!s:.500}") from error
    return float((folder / "epochs").read_text())


def _work(settings: dict[str, Any]) -> None:
    """What each worker does."""
    import torch.distributed

    folder, request = Path(settings["folder"]), TeachRequest.model_validate(settings["request"])
    sifted = CorpusSummary.model_validate(settings["sifted"])
    epochs = train_in(folder, request, Path(settings["base"]), sifted, settings["card"])
    if torch.distributed.get_rank() == 0:
        (folder / "epochs").write_text(str(epochs))
