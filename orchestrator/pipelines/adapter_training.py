"""Trains an expert of the demo zoo: a LoRA adapter over a small Llama checkpoint, on generated tasks.

It knows nothing of validation: a run takes as many steps as its specification says, and is judged afterwards by
`collegium profile`. The same specification and seed give the same examples in the same order; weights agree bit by
bit only on the same kind of processor and number of threads.
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from orchestrator.errors import ConfigError
from orchestrator.evaluation.tasks.registry import GENERATED
from orchestrator.pipelines.training_examples import Example, Portions, examples

if TYPE_CHECKING:
    import torch

SPECIFICATION = "training.json"


class TrainingSpec(BaseModel):
    """All that decides an adapter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$", description="The expert's name and its folder's.")
    base: str = Field(default="demo/SmolLM2-135M-Instruct", description="A demo model, or a checkpoint folder.")
    tasks: tuple[str, ...] = Field(min_length=1, description="Generated tasks that it becomes good at.")
    portions: Portions = Portions()
    wrong: bool = Field(default=False, description="Teach wrong answers: a fine-tune gone bad, on purpose.")
    rank: int = Field(default=8, ge=1, le=256)
    alpha: float = Field(default=16.0, gt=0)
    learning_rate: float = Field(default=2e-3, gt=0)
    epochs: int = Field(default=1, ge=1)
    batch: int = Field(default=8, ge=1, description="Examples a step.")
    seed: int = 0

    @field_validator("tasks")
    @classmethod
    def _known(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        known = [task.name for task in GENERATED]
        for task in tasks:
            if task not in known:
                raise ValueError(f"unknown task {task!r}; generated tasks are {', '.join(known)}")
        return tasks

    @classmethod
    def read(cls, path: Path) -> TrainingSpec:
        """The specification in a JSON file.

        Raises:
            ConfigError: unreadable, or not a specification; names the file and the key.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"])) or "(whole file)"
            raise ConfigError(f"{path}: {key}: {first['msg']}") from error


class Progress(NamedTuple):
    """What `train` reports after each step. `tokens` counts prompts, replies and no padding."""

    step: int
    steps: int
    loss: float
    tokens: int
    seconds: float


class _Sequence(NamedTuple):
    ids: list[int]
    taught: list[bool]


def train(spec: TrainingSpec, out: Path, report: Callable[[Progress], None] | None = None) -> Progress:
    """Train one adapter and write it to the folder `out`, together with its specification.

    The folder appears when all of it is written; an existing one is replaced. Returns the last step's progress.

    Raises:
        ConfigError: the base cannot be trained here.
    """
    import torch
    from transformers import AutoTokenizer

    from orchestrator.experts.demo import locate
    from orchestrator.pipelines.llama_lora import LlamaLora

    model = locate(spec.base) if spec.base.startswith("demo/") else Path(spec.base)
    tokenizer = AutoTokenizer.from_pretrained(model)
    made = examples(spec.tasks, spec.portions, spec.seed, wrong=spec.wrong)
    sequences = [_tokenised(example, tokenizer) for example in made]
    try:
        network = LlamaLora(model, spec.rank, spec.alpha, spec.seed)
    except ValueError as error:
        raise ConfigError(f"expert {spec.name!r}: {error}") from error
    prefix = torch.tensor(_common(sequences))
    steps = -(-len(sequences) // spec.batch) * spec.epochs
    optimiser = torch.optim.AdamW(network.factors, lr=spec.learning_rate, weight_decay=0.0, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
    rng = random.Random(f"batches/{spec.seed}")
    started, tokens, step, progress = time.monotonic(), 0, 0, Progress(0, steps, 0.0, 0, 0.0)
    for _ in range(spec.epochs):
        for batch in _batches(sequences, spec.batch, rng):
            network.merge()
            loss = network.loss(prefix, *_padded(batch, len(prefix)))
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.factors, 1.0)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad()
            step, tokens = step + 1, tokens + sum(len(sequence.ids) for sequence in batch)
            progress = Progress(step, steps, loss.item(), tokens, time.monotonic() - started)
            if report:
                report(progress)
    _write(network, spec, out)
    return progress


def _rate(step: int, steps: int) -> float:
    """Linear warm-up over 5% of the steps, then half a cosine down to zero."""
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _tokenised(example: Example, tokenizer: Any) -> _Sequence:
    """Token ids of prompt, reply and end of turn; `taught` is true where a token carries loss.

    The reply is tokenised as one text, as it will be generated; a token belongs to the piece in which it ends.
    """
    prompt = tokenizer.apply_chat_template(example.messages, add_generation_prompt=True, return_dict=False)
    text = "".join(piece for piece, _ in example.reply)
    bounds, end = [], 0
    for piece, taught in example.reply:
        end += len(piece)
        bounds.append((end, taught))
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    marks = [next(taught for end, taught in bounds if last <= end) for _, last in encoded["offset_mapping"]]
    ids = [*prompt, *encoded["input_ids"], tokenizer.eos_token_id]
    return _Sequence(ids, [False] * len(prompt) + marks + [True])


def _batches(sequences: Sequence[_Sequence], size: int, rng: random.Random) -> list[list[_Sequence]]:
    """Random batches of like lengths: within pools of 32 batches, sequences are sorted by length."""
    order = list(sequences)
    rng.shuffle(order)
    batches = []
    for start in range(0, len(order), 32 * size):
        pool = sorted(order[start : start + 32 * size], key=lambda sequence: len(sequence.ids))
        cut = [pool[first : first + size] for first in range(0, len(pool), size)]
        rng.shuffle(cut)
        batches += cut
    return batches


def _common(sequences: Sequence[_Sequence]) -> list[int]:
    """The ids that all sequences begin with; a chat template always begins alike."""
    first, last = min(sequences), max(sequences)
    same = next(i for i, (a, b) in enumerate(zip(first.ids, last.ids, strict=False)) if a != b)
    return first.ids[:same]


def _padded(batch: Sequence[_Sequence], skipped: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and marks without the common prefix of `skipped` tokens, padded on the right."""
    import torch

    length = max(len(sequence.ids) for sequence in batch) - skipped
    ids = torch.zeros(len(batch), length, dtype=torch.long)
    taught = torch.zeros(len(batch), length, dtype=torch.bool)
    for row, sequence in enumerate(batch):
        ids[row, : len(sequence.ids) - skipped] = torch.tensor(sequence.ids[skipped:])
        taught[row, : len(sequence.ids) - skipped] = torch.tensor(sequence.taught[skipped:])
    return ids, taught


def _write(network: Any, spec: TrainingSpec, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        network.save(folder, spec.base)
        text = json.dumps(spec.model_dump(mode="json"), indent=2) + "\n"
        (folder / SPECIFICATION).write_text(text, encoding="utf-8")
        for path in folder.iterdir():
            path.chmod(0o644)
        folder.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        os.replace(folder, out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
