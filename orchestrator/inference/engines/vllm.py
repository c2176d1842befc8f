"""The default engine: vLLM inside this process, one model a shape, weights replaced in place.

Prompts are token ids made here, so that experts with one tokenizer and different chat templates share a model.
Every prompt carries its expert's fingerprint as cache salt: what one expert computed is never another's prefix, and
an expert that comes back finds its own. Nothing here starts a process on a CPU; with `tensor_parallel` vLLM does.
"""

from __future__ import annotations

import functools
import itertools
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from merging.checkpoint import CheckpointError
from merging.stream import Blend
from orchestrator.errors import CollegiumError, ExpertError, ExpertFailed
from orchestrator.inference.engines.agreement import COMPARED_TOKENS, agreement, in_float32
from orchestrator.inference.engines.architecture import longest_in_vllm
from orchestrator.inference.engines.canary import PROOF, TOP, Canaries, Canary, difference, is_finite, prompt_ids
from orchestrator.inference.engines.compared_types import differing, equal_before, remember
from orchestrator.inference.engines.echo import Echo, check_ids, is_plain
from orchestrator.inference.engines.engine import EngineOptions, LoadKind, LoadReport, rejected
from orchestrator.inference.engines.grammar import Grammars, PendingGrammars
from orchestrator.inference.engines.grammar_process import GrammarRefused
from orchestrator.inference.engines.prompts import Prompts
from orchestrator.inference.engines.reference import NoReference, Reference, references, too_large
from orchestrator.inference.engines.schema import StructuredError, parse_structured
from orchestrator.inference.engines.sources import Sources, no_number
from orchestrator.inference.engines.thought_meter import meter_of
from orchestrator.inference.engines.vllm_replies import LiveReply
from orchestrator.inference.engines.vllm_shape import LiveModel, held_to, live_bytes
from orchestrator.inference.engines.vllm_start import (
    ENTERING_TOKENS,
    asleep_at_once,
    check_fit,
    device_bytes,
    loading_failed,
    on_gpu,
    one_line,
    refuse_differing,
)
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Delta, Request, TokenLogprob

LOGGER = logging.getLogger(__name__)

COMPARED_CONTEXT = 256
"""Tokens that the engine holds which is started for a comparison alone."""


class VLLMEngine:
    """One model live, others of other shapes waiting in memory as far as it goes.

    `canaries` holds what was recorded at experts' first loads; new ones are added to it, so that a pool may keep
    it longer than a process lives (on the same machine: another processor rounds otherwise).
    """

    def __init__(self, options: EngineOptions | None = None, canaries: Canaries | None = None) -> None:
        self.options = options or EngineOptions()
        self.capacity = 2 * self.options.batch
        self.canaries: Canaries = {} if canaries is None else canaries
        elsewhere = self.options.apart or on_gpu() or self.options.tensor_parallel > 1
        self.sources = Sources(not on_gpu(), 0.0 if elsewhere else self.options.host_gib)
        self.prompts = Prompts(self.sources)
        self._shapes: OrderedDict[str, LiveModel] = OrderedDict()
        self._resident: Expert | None = None
        self._running: dict[str, LiveReply] = {}
        """By vLLM's names of the requests."""
        self._ready: list[Delta] = []
        self._arrived: deque[tuple[Request, Expert]] = deque()
        """Requests that no step has begun yet."""
        self._pending = PendingGrammars()
        self._count = itertools.count()
        self._closed = False
        self._apart = self.options.apart

    def beside(self, expert: Expert) -> bool:
        """See `Engine`."""
        shape = self._shape()
        if shape is None or self._resident is None or self._resident.shape != expert.shape or not shape.side_by_side:
            return False
        return shape.holds_beside(expert, self.sources.blend(expert))

    def load(self, expert: Expert) -> LoadReport:
        """See `Engine`."""
        if self._closed:
            raise RuntimeError("the engine is closed")
        began = time.perf_counter()
        if self._resident and self._resident.fingerprint == expert.fingerprint:
            return LoadReport(expert.name, "resident", time.perf_counter() - began)
        if self.beside(expert):
            blend = self.sources.blend(expert)
            self.prompts.check(expert)
            self._shapes[expert.shape].hold(expert)
            return LoadReport(expert.name, "beside", time.perf_counter() - began)
        if self._running or self._arrived or len(self._pending):
            raise RuntimeError(f"cannot load {expert.name!r} while requests are running")
        blend = self.sources.blend(expert)
        refuse_differing(expert, blend.checkpoint.config, on_gpu())
        self.prompts.check(expert)
        way = self._check(expert, blend)
        self.sources.check_mixture(expert, blend)
        compare = self.options.compare and way == "start" and not equal_before(expert, blend.checkpoint.config)
        if (known := self._shapes.get(expert.shape)) is not None:
            known.moved = 0
        try:
            compared = self._first_look(expert, blend) if compare else None
            self._reach(expert, blend, way)
            if compared is not None:
                self._compare(expert, blend, *compared)
        except CollegiumError:
            self._resident = None
            raise
        except Exception as error:
            self._resident = None
            raise loading_failed(expert, blend.checkpoint.config, error) from error
        self._resident = expert
        reached = self._shapes.get(expert.shape)
        moved, uncompared = (reached.moved, reached.uncompared) if reached else (0, "")
        return LoadReport(expert.name, way, time.perf_counter() - began, moved, uncompared)

    def add(self, request: Request, expert: Expert) -> None:
        """See `Engine`."""
        shape = self._shape()
        if shape is None or not self._loaded(expert):
            raise RuntimeError(f"expert {expert.name!r} is not loaded")
        if request.sampling.structured is None:
            self._arrived.append((request, expert))
            return
        tokenizer = self.prompts.tokenizer(expert)
        grammars = Grammars(tokenizer, len(tokenizer), self.prompts.stop_ids(expert), self._pending.process)
        self._pending.hold(request, expert, lambda structured: _held(grammars, structured))

    def _admit(
        self, shape: LiveModel, request: Request, expert: Expert, structured: Callable[[], Mapping[str, Any]] = dict
    ) -> int:
        """Begin a request; the tokens of its prompt."""
        try:
            held = structured()
            ids = self.prompts.ids(expert, request.messages, request.sampling)
            check_ids(ids, shape.vocabulary)
            holds = min(expert.context, shape.context)
            room = holds - len(ids)
            if room < 1:
                raise self.prompts.too_long(expert, request, len(ids), holds)
            reply = LiveReply(request, expert, ids, self.prompts.stop_ids(expert), meter_of(request, expert, room))
            if marks := self.prompts.special_marks(expert):
                reply.hidden = self.prompts.special_texts(expert, marks)
            if request.sampling.echo:
                text = self.prompts.plain_text(expert, request.messages)
                first = self.prompts.tokenizer(expert).decode(ids[:1], clean_up_tokenization_spaces=False)
                logprobs = () if request.sampling.logprobs is None else (TokenLogprob(str(first), 0.0),)
                reply.echo = Echo(text, logprobs, alone=request.sampling.max_tokens < 1)
            wanted = max(request.sampling.max_tokens, 1 if request.sampling.echo else 0)
            reply.start(shape, ids, min(room, reply.meter.room if reply.meter else wanted), **held)
        except Exception as error:  # what vLLM or a template refuses is this request's fault alone
            self._ready.append(rejected(request, error))
            return 0
        self._running[reply.name] = reply
        if not is_plain(request.messages) and (mark := self.prompts.opened(expert, ids)):
            self._ready.append(Delta(request.key, text=mark))
            if reply.meter:
                reply.meter.feed(mark, 0)
        return len(ids)

    def step(self) -> list[Delta]:
        """See `Engine`."""
        shape = self._shape()
        if shape is not None:
            for request, expert, made in self._pending.ready(idle=not (self._running or self._arrived or self._ready)):
                self._admit(shape, request, expert, made.result)
            self._begin_arrived(shape)
        deltas, self._ready = self._ready, []
        if shape is None or not self._running:
            return deltas
        for output in shape.step():
            if (reply := self._running.pop(output.request_id, None)) is None:
                continue
            deltas.append(reply.measured(reply.delta(output), output, shape, self.prompts.tokenizer(reply.expert)))
            if not deltas[-1].last:
                self._running[reply.name] = reply
        return deltas

    def _begin_arrived(self, shape: LiveModel) -> None:
        """Begin what has arrived. Of requests that somebody waits for, a CPU takes `ENTERING_TOKENS` of prompts in one
        step: in a burst the first ones are answered while the others enter."""
        entered = 0
        while self._arrived and (entered < ENTERING_TOKENS or on_gpu()):
            request, expert = self._arrived.popleft()
            tokens = self._admit(shape, request, expert)
            entered += 0 if request.max_wait is None else tokens

    def abort(self, key: str) -> None:
        """See `Engine`."""
        self._ready = [delta for delta in self._ready if delta.key != key]
        self._arrived = deque(one for one in self._arrived if one[0].key != key)
        shape = self._shape()
        self._pending.drop(key)
        for name in [name for name, reply in self._running.items() if reply.request.key == key]:
            del self._running[name]
            if shape is not None:
                shape.abort(name)

    def read_ahead(self, expert: Expert) -> None:
        """See `Engine`."""
        self.sources.read_ahead(expert)
        if (shape := self._shapes.get(expert.shape)) is not None:
            shape.read_ahead(expert, len(self._shapes))

    def canary(self) -> Canary:
        """What the resident model says now to the canary's prompt, computed anew. Nothing may be running. Raises
        RuntimeError if no expert is loaded."""
        shape, expert = self._shape(), self._resident
        if shape is None or expert is None:
            raise RuntimeError("no expert is loaded")
        return self._canary(shape, expert, self.options.canary_tokens)

    def close(self) -> None:
        """See `Engine`."""
        self._closed = True
        self._resident = None
        self._running.clear()
        self._ready.clear()
        self._arrived.clear()
        self._pending.close()
        while self._shapes:
            self._shapes.popitem()[1].close()

    def _shape(self) -> LiveModel | None:
        return self._shapes.get(self._resident.shape) if self._resident else None

    def _loaded(self, expert: Expert) -> bool:
        resident = self._resident
        return bool(resident and resident.fingerprint == expert.fingerprint) or self.beside(expert)

    def _check(self, expert: Expert, blend: Blend) -> LoadKind:
        """How the expert will be reached. Raises `ExpertError` if its weights are not what its shape promises."""
        shape = self._shapes.get(expert.shape)
        if shape is None or not shape.long_enough(expert, longest_in_vllm(blend.checkpoint.config)):
            return "start"
        try:
            self.sources.same_shape(shape.checkpoint, blend.checkpoint)
        except CheckpointError as error:
            raise ExpertError(f"expert {expert.name!r}: {error}") from error
        return "in_place" if self._shape() is shape or self._resident is None else "wake"

    def _reach(self, expert: Expert, blend: Blend, way: LoadKind) -> None:
        leaving = self._shape()
        if leaving is not None and way != "in_place":
            leaving.sleep()
        if way == "start":
            if old := self._shapes.pop(expert.shape, None):
                old.close()
            if on_gpu():
                self._make_room_on_card(expert, live_bytes(blend.checkpoint))
            else:
                self._make_room(live_bytes(blend.checkpoint))
            self._shapes[expert.shape] = LiveModel(expert, blend.checkpoint, self.options, self._apart or on_gpu())
        shape = self._shapes[expert.shape]
        shape.wake()
        self._shapes.move_to_end(expert.shape)
        self._settle(shape, expert, blend)

    def _settle(self, shape: LiveModel, expert: Expert, blend: Blend) -> None:
        """Make the live model the expert's, and believe it only against a canary of weights loaded from scratch."""
        key = _canary_key(expert, shape.side_by_side)
        written = shape.become(expert, blend)
        found = self._canary(shape, expert)
        if new := [name for name in written if name not in shape.proven]:
            shape.renew(expert, blend)
            truth = self._canary(shape, expert)
            if why := difference(truth, found, PROOF):
                shape.refuse_in_place(f"{new[0]} and {len(new) - 1} others: other replies than from scratch: {why}")
                LOGGER.warning(f"{blend.checkpoint.folder}: weights are loaded anew, not written in place: {why}")
            else:
                shape.proven.update(new)
            found = truth
        if key not in self.canaries and not is_finite(found):
            shape.distrust()
            raise no_number(expert, blend, shape.unfilled())
        recorded = self.canaries.setdefault(key, found)
        if why := difference(recorded, found):
            shape.distrust()
            raise ExpertFailed(f"expert {expert.name!r}: the live weights are not its own: {why}")

    def _first_look(self, expert: Expert, blend: Blend) -> tuple[Reference | NoReference, Canary | str]:
        """What transformers says of a model that nobody has compared, and what vLLM says of it in float32, or why that
        cannot be had: in an engine of its own, which is closed again."""
        LOGGER.warning(f"{blend.checkpoint.folder}: a type of model new to vLLM here: compared with transformers once")
        if self.sources.quantised(expert):
            return NoReference("its weights are quantised, which a card computes in a way of its own"), ""
        (reference,) = references([expert], COMPARED_TOKENS)
        if isinstance(reference, NoReference) or reference.exact is None:
            return reference, ""
        if (leaving := self._shape()) is not None:
            leaving.sleep()
        if why := too_large(blend.checkpoint, "float32"):
            return reference, why
        shape, other = None, in_float32(expert)
        options = replace(self.options, context=COMPARED_CONTEXT, compile=False, vllm=())
        try:
            shape = LiveModel(other, blend.checkpoint, options, self._apart or on_gpu())
            shape.become(other, blend)
            return reference, self._canary(shape, other, COMPARED_TOKENS)
        except Exception as error:  # whatever it is, the comparison in 16 bits is left
            return reference, one_line(error)
        finally:
            if shape is not None:
                shape.close()

    def _compare(self, expert: Expert, blend: Blend, reference: Reference | NoReference, exact: Canary | str) -> None:
        """Hold the live model against transformers, and remember what was found. Raises `ExpertFailed` where the two
        differ."""
        shape, config = self._shapes[expert.shape], blend.checkpoint.config
        if isinstance(reference, NoReference):
            shape.uncompared = str(reference)
            LOGGER.warning(f"{blend.checkpoint.folder}: not compared with transformers: {reference}")
            return
        found = agreement(
            expert, self._canary(shape, expert, COMPARED_TOKENS), reference, functools.partial(_said, exact)
        )
        remember(expert, config, found)
        if found.why:
            self._shapes.pop(expert.shape).close()
            raise differing(expert, config, found.why)

    def _make_room(self, checkpoint_bytes: int) -> None:
        """Close the shapes longest unused until one more fits."""
        import psutil

        gib = self.options.memory_gib
        budget = psutil.virtual_memory().total / 2 if gib is None else gib * 2**30
        wanted = LiveModel.estimate(checkpoint_bytes, self.options)
        while self._shapes and sum(shape.bytes for shape in self._shapes.values()) + wanted > budget:
            self._shapes.popitem(last=False)[1].close()

    def _make_room_on_card(self, expert: Expert, wanted: int) -> None:
        """Close the shapes longest asleep until what the others leave on the card is left over. Raises `ExpertError`
        with the sums if the expert does not fit alone."""
        card = device_bytes()
        check_fit(expert, wanted, self.options, card)
        while len(self._shapes) > asleep_at_once(self.options, card):
            self._shapes.popitem(last=False)[1].close()

    def _canary(self, shape: LiveModel, expert: Expert, tokens: int = 0) -> Canary:
        """`tokens` greedy tokens after the prompt. 0: one, and before it every token of the prompt, all in one step of
        the model: that is what every load is held against."""
        ids = prompt_ids(self.prompts.tokenizer(expert))
        # A salt of its own: a cached prefix would hide that the weights are wrong.
        name = f"canary-{next(self._count)}"
        shape.add_canary(name, ids, tokens, TOP, expert)
        canary: Canary = []
        wanted = tokens or len(ids)
        while len(canary) < wanted:
            for output in shape.step():
                # Of the prompt's first token nothing is said.
                said = [*(output.prompt_logprobs or ())[1:], *(output.outputs[0].logprobs or ())]
                canary += [
                    sorted(((token, found.logprob) for token, found in step.items()), key=lambda pair: -pair[1])
                    for step in said
                ]
        return canary


def _said(exact: Canary | str, _: Expert) -> Canary:
    if isinstance(exact, str):
        raise ExpertFailed(exact)
    return exact


def _held(grammars: Grammars, structured: str) -> dict[str, Any]:
    """What vLLM holds a reply to, once it is seen to compile within bounds. Off the engine's thread."""
    try:
        grammars.check(structured)
    except GrammarRefused:
        raise
    except StructuredError:
        if parse_structured(structured)[0] == "grammar":
            raise
        # Of a schema or an expression that xgrammar does not compile, vLLM may have another library.
    return held_to(structured)


def _canary_key(expert: Expert, side_by_side: bool) -> str:
    import torch
    import vllm

    way = "side by side" if side_by_side else "in place"
    versions = f"vllm {vllm.__version__} torch {torch.__version__} threads {torch.get_num_threads()}"
    return f"{versions} {way} {expert.fingerprint}"
