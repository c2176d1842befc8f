"""Trains an expert as the demo zoo's were: a LoRA adapter over a small checkpoint, on generated tasks.

The examples become lessons of plain supervised fine-tuning for the trainer of `distill`. A run takes as many steps as
its specification says, without validation, and is judged afterwards by `collegium profile`. The same specification and
seed give the same examples in the same order; weights agree bit by bit only on the same kind of processor and number of
threads.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from distill.errors import DistillError, TrainingError
from distill.specification import TrainingSpec
from distill.supervised import Example, write_lessons
from distill.train import StepMetrics
from orchestrator.errors import ConfigError
from orchestrator.evaluation.tasks.registry import GENERATED
from orchestrator.experts.demo import locate
from orchestrator.pipelines.training_examples import Portions, examples
from orchestrator.run_folder import held

BATCH_TOKENS = 640
"""Tokens in memory at once: examples of like length stand side by side, with little padding."""
SPECIFICATION = "training.json"


class LoraSettings(BaseModel):
    """How a LoRA adapter is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(default=8, ge=1, le=256, description="LoRA: rank.")
    alpha: float = Field(default=16.0, gt=0, description="LoRA: alpha (scale times rank).")
    learning_rate: float = Field(default=2e-3, gt=0, description="Peak learning rate.")
    epochs: int = Field(default=1, ge=1, le=100, description="Times that every example is read.")
    batch: int = Field(default=8, ge=1, description="Examples per step, on average.")
    seed: int = Field(default=0, ge=0, description="Seed of examples, order and initial factors.")


class AdapterSpec(LoraSettings):
    """All that decides an adapter."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$", description="The expert's name and its folder's.")
    base: str = Field(default="demo/SmolLM2-135M-Instruct", description="A demo model, or a checkpoint folder.")
    tasks: tuple[str, ...] = Field(min_length=1, description="Generated tasks that it becomes good at.")
    portions: Portions = Portions()
    wrong: bool = Field(default=False, description="Teach wrong answers: a fine-tune gone bad, on purpose.")

    @field_validator("tasks")
    @classmethod
    def _known(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        known = [task.name for task in GENERATED]
        for task in tasks:
            if task not in known:
                raise ValueError(f"unknown task {task!r}; generated tasks are {', '.join(known)}")
        return tasks

    @classmethod
    def read(cls, path: Path) -> AdapterSpec:
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


def train(spec: AdapterSpec, out: Path, report: Callable[[StepMetrics], None] | None = None) -> StepMetrics:
    """Train one adapter and write it to the folder `out`, together with its specification: see `train_adapter`."""
    made = examples(spec.tasks, spec.portions, spec.seed, wrong=spec.wrong)
    files = {SPECIFICATION: json.dumps(spec.model_dump(mode="json"), indent=2) + "\n"}
    return train_adapter(spec.name, spec.base, spec, made, out, files, report)


def train_adapter(
    name: str,
    base: str,
    settings: LoraSettings,
    made: Sequence[Example],
    out: Path,
    files: Mapping[str, str],
    report: Callable[[StepMetrics], None] | None = None,
) -> StepMetrics:
    """Train a LoRA adapter over `base` (a demo model or a checkpoint folder) on the examples, and write it to the
    folder `out` together with `files` (name -> text). Returns the last step's metrics.

    The folder appears when all of it is written; an existing one is replaced. A training that was interrupted goes on
    from its last checkpoint, which lies beside `out` until it is done.

    Raises:
        ConfigError: the base cannot be trained, or there are no examples; names the expert.
        BadInput: another process trains the same adapter in the same place.
    """
    from distill.train import train as train_network

    model = locate(base) if base.startswith("demo/") else Path(base)
    text = f"{base} {settings.model_dump_json()}"
    work = out.parent / f".{out.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    with held(work):
        lessons = work / "lessons.jsonl"
        write_lessons(made, lessons)
        try:
            trained = train_network(_training(settings, model, made), lessons, work, report)
        except DistillError as error:
            raise ConfigError(f"expert {name!r}: {error}") from error
        _write(trained.network, base, out, files)
        shutil.rmtree(work, ignore_errors=True)
    return trained.metrics[-1]


def _training(spec: LoraSettings, model: Path, made: Sequence[Example]) -> TrainingSpec:
    """The trainer's settings: `batch` examples per step on average, and every example `epochs` times."""
    from transformers import AutoTokenizer

    from distill.rows import tokenised

    if not (model / "config.json").is_file():
        raise TrainingError(f"base: {model}: no checkpoint there (no config.json)")
    if not made:
        raise TrainingError("no examples to train on")
    tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    tokens = spec.epochs * sum(tokenised(example.lesson(""), tokenizer).tokens for example in made)
    steps = -(-len(made) // spec.batch) * spec.epochs
    return TrainingSpec(
        student=str(model),
        rank=spec.rank,
        alpha=spec.alpha,
        learning_rate=spec.learning_rate,
        tokens=tokens,
        step_tokens=-(-tokens // steps),
        batch_tokens=BATCH_TOKENS,
        seed=spec.seed,
    )


def _write(network: Any, base: str, out: Path, files: Mapping[str, str]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        _save(network, base, folder)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        for path in folder.iterdir():
            path.chmod(0o644)
        folder.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        os.replace(folder, out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _save(network: Any, base: str, folder: Path) -> None:
    """Write the adapter in peft's layout, in bfloat16, naming `base` as the specification does."""
    import torch
    from safetensors.torch import load_file, save_file

    network.model.peft_config["default"].base_model_name_or_path = base
    network.model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    file = folder / "adapter_model.safetensors"
    save_file({name: tensor.to(torch.bfloat16) for name, tensor in load_file(file).items()}, file, {"format": "pt"})
