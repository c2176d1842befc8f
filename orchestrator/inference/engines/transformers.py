"""The engine for machines without vLLM: transformers on a CPU or a GPU, batched, weights replaced in place.

Slower than vLLM (no paged cache, no packed matrices, padding), and one shape at a time; in all else the same.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from merging.checkpoint import CheckpointError
from merging.stream import Blend
from orchestrator.errors import CollegiumError, ExpertError, ExpertFailed
from orchestrator.inference.engines.architecture import longest_context
from orchestrator.inference.engines.canary import Canaries, Canary, difference, greedy, is_finite, prompt_ids
from orchestrator.inference.engines.decoding import DecodingBatch, SequenceState
from orchestrator.inference.engines.echo import Echo, check_ids, is_plain
from orchestrator.inference.engines.engine import EngineOptions, LoadKind, LoadReport, rejected
from orchestrator.inference.engines.grammar import Grammars, PendingGrammars
from orchestrator.inference.engines.penalties import check
from orchestrator.inference.engines.prompts import Prompts
from orchestrator.inference.engines.recomputing import RecomputingBatch, decodes_in_batches
from orchestrator.inference.engines.sources import Sources, no_number
from orchestrator.inference.engines.text_stream import TextStream
from orchestrator.inference.engines.thought_meter import meter_of
from orchestrator.inference.engines.vllm_live import unchanged
from orchestrator.inference.expert import Expert
from orchestrator.inference.pretrained import load_model
from orchestrator.inference.request import Delta, Request

JOIN_TOKENS = 4096
"""Prompt tokens, padding included, that join in one step."""


class TransformersEngine:
    """`canaries` maps to what was recorded at experts' first loads; new ones are added to it."""

    def __init__(self, options: EngineOptions | None = None, canaries: Canaries | None = None) -> None:
        self.options = options or EngineOptions()
        self.capacity = 2 * self.options.batch
        self.canaries: Canaries = {} if canaries is None else canaries
        self.sources = Sources(True, self.options.host_gib)
        self.prompts = Prompts(self.sources)
        self._model: Any = None
        self._live: Blend | None = None
        self._longest = 0
        self._moved = 0
        self._written_in_place = False
        self._batches = True
        self._resident: Expert | None = None
        self._batch: DecodingBatch | None = None
        self._grammars: Grammars | None = None
        self._pending = PendingGrammars()
        self._waiting: deque[SequenceState] = deque()
        self._ready: list[Delta] = []
        self._closed = False

    def beside(self, expert: Expert) -> bool:
        """See `Engine`: one expert's weights are in the batch."""
        return False

    def load(self, expert: Expert) -> LoadReport:
        """See `Engine`."""
        if self._closed:
            raise RuntimeError("the engine is closed")
        began = time.perf_counter()
        if self._resident and self._resident.fingerprint == expert.fingerprint:
            return LoadReport(expert.name, "resident", time.perf_counter() - began)
        if self._waiting or len(self._pending) or (self._batch and self._batch.rows):
            raise RuntimeError(f"cannot load {expert.name!r} while requests are running")
        blend = self.sources.blend(expert)
        self.prompts.check(expert)
        way = self._check(expert, blend)
        self.sources.check_mixture(expert, blend)
        try:
            self._reach(expert, blend, way)
        except CollegiumError:
            self._resident = None
            raise
        except Exception as error:
            self._resident = None
            raise ExpertFailed(f"expert {expert.name!r}: loading failed: {type(error).__name__}: {error}") from error
        tokenizer = self.prompts.tokenizer(expert)
        self._resident = expert
        self._grammars = None
        self._pending.forget()
        batch = DecodingBatch if self._batches else RecomputingBatch
        self._batch = batch(
            self._model,
            frozenset(self.prompts.stop_ids(expert)),
            lambda token: str(tokenizer.decode([token], clean_up_tokenization_spaces=False)),
        )
        return LoadReport(expert.name, way, time.perf_counter() - began, self._moved)

    def add(self, request: Request, expert: Expert) -> None:
        """See `Engine`."""
        if self._resident is None or self._resident.fingerprint != expert.fingerprint:
            raise RuntimeError(f"expert {expert.name!r} is not loaded")
        if request.sampling.structured is None:
            self._admit(request, expert)
            return
        if self._grammars is None:
            logits = self._model.get_output_embeddings().weight.shape[0]
            stop_ids = self.prompts.stop_ids(expert)
            self._grammars = Grammars(self.prompts.tokenizer(expert), logits, stop_ids, self._pending.process)
        self._pending.hold(request, expert, self._grammars.compile)

    def _admit(self, request: Request, expert: Expert, compiled: Callable[[], Any] | None = None) -> None:
        try:
            constraint = self._grammars.constraint(compiled()) if compiled and self._grammars else None
            check(request.sampling, self._model.config.get_text_config().vocab_size)
            ids = self.prompts.ids(expert, request.messages, request.sampling)
            check_ids(ids, self._model.config.get_text_config().vocab_size)
            context = min(expert.context, self.options.context or expert.context, self._longest)
            room = context - len(ids)
            if room < 1:
                raise self.prompts.too_long(expert, request, len(ids), context)
            echo = self._echo(request, expert, ids)
            if request.sampling.max_tokens < 1 and echo is None:
                raise ValueError(f"max_tokens must be at least 1, not {request.sampling.max_tokens}")
            marks = self.prompts.special_marks(expert)
            text = TextStream(self.prompts.tokenizer(expert), (*request.sampling.stop, *expert.stop), marks)
            meter = meter_of(request, expert, room)
            room = min(room, meter.room if meter else max(request.sampling.max_tokens, 1))
            state = SequenceState(request, ids, room, text, constraint, echo=echo, meter=meter)
            if (count := request.sampling.prompt_logprobs) is not None and echo is None:
                assert self._batch is not None
                state.prompt = self._batch.prompt_choices(ids, count)
            self._waiting.append(state)
            if not is_plain(request.messages) and (mark := self.prompts.opened(expert, ids)):
                self._ready.append(Delta(request.key, text=mark))
                if meter:
                    meter.feed(mark, 0)
        except Exception as error:  # what a template or a grammar refuses is this request's fault alone
            self._ready.append(rejected(request, error))

    def step(self) -> list[Delta]:
        """See `Engine`."""
        if self._batch is not None:
            idle = not (self._ready or self._waiting or self._batch.rows)
            for request, expert, made in self._pending.ready(idle):
                self._admit(request, expert, made.result)
        deltas, self._ready = self._ready, []
        if self._batch is None:
            return deltas
        if self._batch.rows:
            deltas.extend(self._batch.step())
        if joining := self._joining(self._batch):
            deltas.extend(self._batch.join(joining))
        return deltas

    def abort(self, key: str) -> None:
        """See `Engine`."""
        self._ready = [delta for delta in self._ready if delta.key != key]
        self._waiting = deque(row for row in self._waiting if row.request.key != key)
        self._pending.drop(key)
        if self._batch and any(row.request.key == key for row in self._batch.rows):
            self._batch.remove(key)

    def read_ahead(self, expert: Expert) -> None:
        """See `Engine`."""
        self.sources.read_ahead(expert)

    def canary(self) -> Canary:
        """What the resident model says now to the canary's prompt. Nothing may be running. Raises RuntimeError if no
        expert is loaded."""
        if self._resident is None:
            raise RuntimeError("no expert is loaded")
        return self._canary(self._resident)

    def close(self) -> None:
        """See `Engine`."""
        self._closed = True
        self._model = self._live = self._resident = self._batch = self._grammars = None
        self._waiting.clear()
        self._ready.clear()
        self._pending.close()

    def _check(self, expert: Expert, blend: Blend) -> LoadKind:
        """Raises `ExpertError` if the weights are not what the expert's shape promises."""
        if self._live is None or self._resident is None or self._resident.shape != expert.shape:
            return "start"
        try:
            self.sources.same_shape(self._live.checkpoint, blend.checkpoint)
        except CheckpointError as error:
            raise ExpertError(f"expert {expert.name!r}: {error}") from error
        return "in_place" if self._written_in_place else "start"

    def _reach(self, expert: Expert, blend: Blend, way: LoadKind) -> None:
        import torch

        if way == "start":
            self._moved = blend.bytes
            self._model = self._live = None  # freed before its successor is allocated
            self._model = _start(expert, blend)
            self._longest = longest_context(blend.checkpoint.config)
            self._written_in_place = _holds_as_stored(self._model, blend)
            tokenizer = self.prompts.tokenizer(expert)
            self._batches = decodes_in_batches(self._model, tokenizer, prompt_ids(tokenizer))
        else:
            assert self._live is not None
            parameters = self._model.state_dict(keep_vars=True)
            live, self._live = self._live, None
            with torch.no_grad():
                self._moved = 0
                for name in live.differing(blend):
                    blend.write(name, parameters[name])
                    self._moved += blend.checkpoint.tensors[name].stop - blend.checkpoint.tensors[name].start
        self._live = blend
        found = self._canary(expert)
        key = self._canary_key(expert)
        if key not in self.canaries and not is_finite(found):
            raise no_number(expert, blend)
        recorded = self.canaries.setdefault(key, found)
        if why := difference(recorded, found):
            raise ExpertFailed(f"expert {expert.name!r}: the live weights are not its own: {why}")

    def _canary(self, expert: Expert) -> Canary:
        return greedy(self._model, prompt_ids(self.prompts.tokenizer(expert)), self.options.canary_tokens)

    def _canary_key(self, expert: Expert) -> str:
        import torch
        import transformers

        versions = f"transformers {transformers.__version__} torch {torch.__version__} {self._model.device}"
        return f"{versions} {expert.fingerprint}"

    def _echo(self, request: Request, expert: Expert, ids: list[int]) -> Echo | None:
        sampling = request.sampling
        if not sampling.echo:
            return None
        assert self._batch is not None
        logprobs = () if sampling.logprobs is None else self._batch.prompt_logprobs(ids, sampling.logprobs)
        return Echo(self.prompts.plain_text(expert, request.messages), logprobs, alone=sampling.max_tokens < 1)

    def _joining(self, batch: DecodingBatch) -> list[SequenceState]:
        """The next rows that there is room for: all that fit side by side without much padding."""
        joining: list[SequenceState] = []
        longest = 0
        while self._waiting and len(batch.rows) + len(joining) < self.options.batch:
            longest = max(longest, len(self._waiting[0].ids))
            if joining and longest * (len(joining) + 1) > JOIN_TOKENS:
                break
            joining.append(self._waiting.popleft())
        return joining


def _start(expert: Expert, blend: Blend) -> Any:
    import torch

    folder = blend.checkpoint.folder
    if expert.quantization:
        raise ExpertError(f"expert {expert.name!r}: quantization {expert.quantization!r} needs the engine vllm")
    try:
        state = None if unchanged(blend) else dict(blend)
        model = load_model(folder, trust=expert.trust_remote_code, state=state, dtype=expert.dtype or "auto")
    except ValueError as error:
        raise ExpertFailed(f"{folder}: transformers cannot run it: {error}") from error
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def _holds_as_stored(model: Any, blend: Blend) -> bool:
    """Every tensor of the files is a live one of the same name and content, and there are no others: what is written
    over them is what a fresh load would have."""
    import torch

    live = model.state_dict(keep_vars=True)
    covered = set()
    for name in blend.names:
        tensor = live.get(name)
        if tensor is None or not tensor.is_floating_point():
            return False
        wanted = torch.empty(tensor.shape, dtype=tensor.dtype)
        if tuple(tensor.shape) != blend.checkpoint.tensors[name].shape:
            return False
        blend.write(name, wanted)
        if not torch.equal(tensor.detach().cpu(), wanted):
            return False
        covered.add(tensor.data_ptr())
    return all(tensor.data_ptr() in covered for tensor in model.parameters())
