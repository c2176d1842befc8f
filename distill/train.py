"""The training loop: lessons in, a taught student out, resumable at every step bit for bit.

A step reads lessons until it has its tokens, so that every level takes the same number of steps and tokens whatever
its lessons look like; it cuts them into batches that fit in memory, and its gradient does not depend on the cut. All
that is random in a step is seeded by (seed, step): a training that was killed goes on from its last checkpoint as if
nothing had happened. Losses are divided by what the whole step counts.

Several processes (accelerate's launcher, Ray Train) share a step's batches and add their gradients.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill import checkpoint
from distill.checkpoint import TrainingState
from distill.corpus import Corpus
from distill.errors import NotFinite, TrainingError
from distill.memory import check_memory
from distill.pairs import Lesson
from distill.specification import TrainingSpec

if TYPE_CHECKING:
    import torch

    from distill.network import Network
    from distill.rows import TokenRow

METRICS = "metrics.jsonl"
CHECKPOINTS = "checkpoints"
BEST = "best.safetensors"


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """What one step showed. Losses are means; a loss that had nothing to count is None.

    `validation`: mean next-token loss on held-out questions, where this step looked at it.
    """

    step: int
    steps: int
    tokens: int
    seconds: float
    learning_rate: float
    gradient: float
    next_token: float | None
    node: float | None
    margin: float | None
    nodes_right: float | None
    pairs_right: float | None
    validation: float | None = None


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A finished training. `network` holds the taught student: the best validated one if there was validation."""

    network: Network
    state: TrainingState
    metrics: tuple[StepMetrics, ...]
    epochs: float
    main: bool
    """Whether this process is the one of several that writes."""


def keep(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write trained tensors to a file, whole or not at all."""
    from safetensors.torch import save_file

    draft = path.with_name(f".{path.name}")
    save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, draft)
    draft.replace(path)


def train(
    spec: TrainingSpec,
    lessons: Path,
    folder: Path,
    report: Callable[[StepMetrics], None] | None = None,
    *,
    start: Path | None = None,
) -> TrainingResult:
    """Train on a file of lessons (`corpus.prepare`), keeping checkpoints and metrics in `folder`; resumes there.
    `start`: a file of trained tensors (`keep`) to go on from.

    Raises:
        TrainingError: a student that cannot be trained, or a batch too large for the memory; reported before anything
            is trained, with the setting to change.
        NotFinite: the loss is not a number; the last checkpoint stays.
        LessonError: the file of lessons cannot be read.
    """
    from accelerate import Accelerator

    corpus = Corpus(lessons, spec.validation)
    try:
        accelerator = Accelerator(log_with=_trackers(spec) or None, project_dir=folder)
        check_memory(spec, accelerator.device.type)
        return _Training(spec, corpus, folder, accelerator, start).run(report or (lambda _: None))
    finally:
        corpus.close()


class _Training:
    def __init__(self, spec: TrainingSpec, corpus: Corpus, folder: Path, accelerator: Any, start: Path | None) -> None:
        import torch

        from distill.network import Network

        self.spec, self.corpus, self.folder, self.accelerator = spec, corpus, folder, accelerator
        self.network = Network(spec, accelerator.device)
        self.tensors = self.network.trainable()
        self.optimiser = torch.optim.AdamW(
            self.tensors.values(), lr=spec.learning_rate, weight_decay=spec.weight_decay, fused=True
        )
        begun = spec.model_dump_json().encode() + _hash(corpus.path).encode()
        if start is not None:
            begun += _hash(start).encode()
            self._take(start)
        digest = hashlib.sha256(begun).hexdigest()
        folder.mkdir(parents=True, exist_ok=True)
        loaded = checkpoint.load(folder / CHECKPOINTS, digest, self.tensors, self.optimiser)
        self.network.changed()
        self.state = loaded or TrainingState(digest=digest)
        self.metrics = [one for one in read_metrics(folder / METRICS) if one.step <= self.state.step]
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            (folder / METRICS).write_text("".join(json.dumps(_plain(one)) + "\n" for one in self.metrics))
        self.order = self._permutation()

    def run(self, report: Callable[[StepMetrics], None]) -> TrainingResult:
        spec, state, main = self.spec, self.state, self.accelerator.is_main_process
        if spec.trackers:
            self._start_trackers()
        while state.step < spec.steps and not self._patience_is_out():
            metrics = self._step()
            self.metrics.append(metrics)
            if main:
                with (self.folder / METRICS).open("a") as file:
                    file.write(json.dumps(_plain(metrics)) + "\n")
                if state.step % spec.checkpoint_every == 0 or state.step == spec.steps:
                    checkpoint.save(self.folder / CHECKPOINTS, state, self.tensors, self.optimiser)
                report(metrics)
            if spec.trackers:
                logged = {key: value for key, value in _plain(metrics).items() if value is not None}
                self.accelerator.log(logged, step=state.step)
        for tracker in self.accelerator.trackers:  # `end_training` would also end process groups: vLLM's, beside us
            tracker.finish()
        self.accelerator.wait_for_everyone()
        self._restore_best()
        self.network.train(False)
        epochs = state.epoch + state.place / len(self.corpus)
        return TrainingResult(self.network, state, tuple(self.metrics), epochs, main)

    def _start_trackers(self) -> None:
        settings = {
            name: value if isinstance(value, (str, int, float)) else json.dumps(value)
            for name, value in self.spec.model_dump().items()
        }
        try:
            self.accelerator.init_trackers("collegium-distill", config=settings)
        except Exception as error:  # Each tracker has its own errors: a key, a server, a database that is not there.
            message = " ".join(str(error).split())[:300]
            raise TrainingError(f"trackers: {', '.join(self.spec.trackers)}: {message}") from error

    def _step(self) -> StepMetrics:
        import torch

        from distill.rows import batched, cut

        spec, state, started = self.spec, self.state, time.monotonic()
        rows = self._drawn()
        counts = _Counts.of(rows, spec.prompts_too)
        batches = cut(rows, spec.batch_tokens)
        sums = torch.zeros(5, dtype=torch.float64)
        self.network.train()
        self.optimiser.zero_grad(set_to_none=True)
        for number in range(self.accelerator.process_index, len(batches), self.accelerator.num_processes):
            torch.manual_seed(_seed(spec.seed, state.step, number))
            found = self.network.losses(batched(batches[number], spec.prompts_too).to(self.accelerator.device))
            loss = (
                spec.next_token_weight * found.next_token / max(counts.targets, 1)
                + spec.node_weight * found.node / max(counts.nodes, 1)
                + spec.margin_weight * found.margin / max(counts.pairs, 1)
            )
            if not torch.isfinite(loss):
                self._stop(batches[number], "the loss")
            loss.backward()  # type: ignore[no-untyped-call]
            sums += torch.stack([getattr(found, name).detach().double().cpu() for name in found.__slots__])
        self._add_up(sums)
        norm = torch.nn.utils.clip_grad_norm_(self.tensors.values(), spec.clip)
        if not torch.isfinite(norm):
            self._stop(rows, "the gradient")
        rate = spec.learning_rate * _share(state.step, spec.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self.network.changed()
        state.step += 1
        state.tokens += counts.tokens
        validation = self._validated() if self.corpus.held_out and state.step % spec.evaluate_every == 0 else None
        state.seconds += time.monotonic() - started
        next_token, node, margin, nodes_right, pairs_right = sums.tolist()
        return StepMetrics(
            step=state.step,
            steps=spec.steps,
            tokens=state.tokens,
            seconds=round(state.seconds, 3),
            learning_rate=rate,
            gradient=float(norm),
            next_token=_mean(next_token, counts.targets),
            node=_mean(node, counts.nodes),
            margin=_mean(margin, counts.pairs),
            nodes_right=_mean(nodes_right, counts.nodes),
            pairs_right=_mean(pairs_right, counts.pairs),
            validation=validation,
        )

    def _drawn(self) -> list[TokenRow]:
        """Lessons until the tokens that are due after this step have been read."""
        state, due = self.state, min((self.state.step + 1) * self.spec.step_tokens, self.spec.tokens)
        rows: list[TokenRow] = []
        tokens = state.tokens
        while tokens < due or not rows:
            if state.place == len(self.corpus):
                state.epoch, state.place = state.epoch + 1, 0
                self.order = self._permutation()
            rows.append(self._row(self.corpus[int(self.order[state.place])]))
            state.place += 1
            tokens += rows[-1].tokens
        return rows

    def _row(self, lesson: Lesson) -> TokenRow:
        from distill.rows import tokenised

        return tokenised(lesson, self.network.tokenizer)

    def _permutation(self) -> Any:
        import numpy as np

        return np.random.default_rng([self.spec.seed, self.state.epoch]).permutation(len(self.corpus))

    def _add_up(self, sums: torch.Tensor) -> None:
        """Gradients and sums of all processes; a process without a batch has zeros."""
        if self.accelerator.num_processes == 1:
            return
        import torch

        for tensor in self.tensors.values():
            if tensor.grad is None:
                tensor.grad = torch.zeros_like(tensor)
            tensor.grad.copy_(self.accelerator.reduce(tensor.grad, reduction="sum"))
        sums.copy_(self.accelerator.reduce(sums.to(self.accelerator.device), reduction="sum").cpu())

    def _validated(self) -> float:
        """Mean next-token loss on held-out questions, without dropout; the best state so far is kept."""
        import torch

        from distill.rows import batched, cut

        state, spec = self.state, self.spec
        rows = [self._row(lesson) for lesson in self.corpus.validation(spec.validation_questions)]
        total = 0.0
        self.network.train(False)
        with torch.no_grad():
            for batch in cut(rows, spec.batch_tokens):
                total += float(self.network.losses(batched(batch).to(self.accelerator.device)).next_token)
        loss = total / max(1, sum(row.targets() for row in rows))
        state.waited += 1
        if state.best is None or loss < state.best:
            state.best, state.best_step, state.waited = loss, state.step, 0
            if self.accelerator.is_main_process:
                keep(self.tensors, self.folder / BEST)
        return loss

    def _patience_is_out(self) -> bool:
        return 0 < self.spec.patience <= self.state.waited

    def _restore_best(self) -> None:
        if self.state.best is None or self.state.best_step == self.state.step:
            return
        self._take(self.folder / BEST)
        self.network.changed()

    def _take(self, path: Path) -> None:
        """Copy a file of trained tensors into those that are trained."""
        import torch
        from safetensors.torch import load_file

        kept = load_file(path)
        with torch.no_grad():
            for name, tensor in self.tensors.items():
                tensor.copy_(kept[name])

    def _stop(self, rows: list[TokenRow], what: str) -> None:
        names = ", ".join(row.lesson.id for row in rows[:4]) + (", ..." if len(rows) > 4 else "")
        kept = checkpoint.found(self.folder / CHECKPOINTS)
        raise NotFinite(
            f"step {self.state.step + 1}: {what} is not a finite number, at questions {names}; "
            f"the last good checkpoint is {kept[-1] if kept else 'none yet'}; try a lower learning_rate"
        )


@dataclass(frozen=True, slots=True)
class _Counts:
    tokens: int
    targets: int
    nodes: int
    pairs: int

    @classmethod
    def of(cls, rows: list[TokenRow], prompts_too: bool) -> _Counts:
        return cls(
            sum(row.tokens for row in rows),
            sum(row.targets(prompts_too) for row in rows),
            sum(len(row.lesson.nodes) for row in rows),
            sum(len(row.lesson.pairs) for row in rows),
        )


def _share(step: int, steps: int) -> float:
    """Linear warm-up over 5% of the steps, then half a cosine down to zero."""
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _seed(*parts: int) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:7], "big")


def _mean(total: float, count: int) -> float | None:
    return total / count if count else None


def _plain(metrics: StepMetrics) -> dict[str, Any]:
    return {name: getattr(metrics, name) for name in StepMetrics.__slots__}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_metrics(path: Path) -> list[StepMetrics]:
    """What `train` noted; a line cut short by a kill ends it."""
    found: list[StepMetrics] = []
    for row in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(StepMetrics(**json.loads(row)))
        except (ValueError, TypeError):
            break
    return found


def _trackers(spec: TrainingSpec) -> list[str]:
    """Raises `TrainingError` for a tracker that is not installed."""
    from accelerate.utils import is_mlflow_available, is_tensorboard_available, is_wandb_available

    there = {
        "tensorboard": is_tensorboard_available,
        "wandb": is_wandb_available,
        "mlflow": is_mlflow_available,
    }
    for name in spec.trackers:
        if not there[name]():
            raise TrainingError(f"trackers: {name} is not installed here: pip install {name}")
    return list(spec.trackers)
