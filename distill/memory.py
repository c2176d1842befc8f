"""Will a batch fit? Estimated before training, so that nobody learns it from a killed process an hour later.

The estimate is coarse and meant to err on the large side: 1.2 to 1.9 times what a small student takes
(benchmarks/results/distill_memory.md); nothing is known of large ones.
"""

from __future__ import annotations

import json
from pathlib import Path

from distill.errors import TrainingError
from distill.specification import TrainingSpec

GIB = 2**30


def needed(spec: TrainingSpec) -> int:
    """Bytes for weights, optimiser and one batch with its gradients. Raises `TrainingError` without a config.json."""
    try:
        config = json.loads((Path(spec.student) / "config.json").read_text("utf-8"))
        config = config.get("text_config") or config
        hidden, layers, vocabulary = (int(config[key]) for key in ("hidden_size", "num_hidden_layers", "vocab_size"))
        inner = int(config.get("intermediate_size") or 4 * hidden)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingError(f"student: {spec.student}: no readable config.json: {error!r:.200}") from error
    parameters = layers * (4 * hidden * hidden + 3 * hidden * inner) + 2 * vocabulary * hidden
    width = 2 if spec.precision == "bf16" else 4
    if spec.method == "full":
        weights = parameters * 16
    else:
        factors = layers * spec.rank * (8 * hidden + 3 * (hidden + inner))
        weights = parameters * width + factors * 16
    kept = 2 * hidden if spec.gradient_checkpointing else 16 * hidden + 8 * inner
    if spec.method == "lora" and not spec.gradient_checkpointing:
        # What the factors read; with dropout also what it left of that, in float32, and its mask.
        kept += (8 if spec.dropout else 2) * (6 * hidden + inner)
    activations = spec.batch_tokens * (layers * kept * width + 3 * 4 * vocabulary)
    return weights + activations


def available(device: str) -> int:
    """Free bytes where the student will be trained."""
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    import psutil

    return int(psutil.virtual_memory().available)


def check_memory(spec: TrainingSpec, device: str) -> None:
    """Raises `TrainingError` naming the settings to change, where the batch will not fit."""
    wanted, there = needed(spec), available(device)
    if wanted <= there:
        return
    change = [f"lower batch_tokens (now {spec.batch_tokens})"]
    change += [] if spec.gradient_checkpointing else ["set gradient_checkpointing"]
    change += [] if spec.method == "lora" else ["use method lora"]
    raise TrainingError(
        f"training needs about {wanted / GIB:.1f} GiB and {there / GIB:.1f} GiB are free: {', or '.join(change)}"
    )
