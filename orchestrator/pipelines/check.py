"""The check pipeline: load experts and let them speak, hold what was loaded against transformers, ask remote ones."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from pydantic import Field

from orchestrator.config import StrictModel, WorkersConfig
from orchestrator.errors import CollegiumError, ExpertError
from orchestrator.evaluation.context import Context
from orchestrator.evaluation.profile import chosen
from orchestrator.inference.engines.agreement import COMPARED_TOKENS, Agreement, agreement
from orchestrator.inference.engines.canary import Canary
from orchestrator.inference.engines.compared_types import recall, remember
from orchestrator.inference.engines.engine import Engine, EngineOptions, HasCanary
from orchestrator.inference.engines.reference import NoReference, Reference, references, too_large
from orchestrator.inference.engines.remote import RemoteEngine
from orchestrator.inference.engines.sources import Sources
from orchestrator.inference.expert import Expert
from orchestrator.inference.prices import price
from orchestrator.inference.request import Completion, Delta, Request, Sampling, request_key
from orchestrator.inference.schedule.groups import groups_of, numbered_group
from orchestrator.inference.schedule.placement import check_engine, engine_name, local_engine, options

REMOTE_TOKENS = 256
"""Longest reply of a remote expert's check: models that reason need some."""


class CheckRequest(StrictModel):
    """Load experts and let them speak: files, chat template, canary against transformers, speed. Remote ones are asked
    one short question, which their servers charge for."""

    experts: list[str] = Field(default_factory=list, description="Experts to check (default: the whole zoo).")
    reference: bool = Field(default=True, description="Compare with transformers, token by token.")
    prompts: int = Field(
        default=16, ge=1, le=256, description="Prompts per local expert, answered together: they measure its speed."
    )


@dataclass(frozen=True)
class CheckedExpert:
    """What the check of one expert found."""

    expert: str
    problem: str | None = None
    """Why it cannot be used; None: nothing is wrong."""
    reference: str = "not asked for"
    """How it compares with transformers: equal, differs, impossible, or why nobody compared."""
    way: str = ""
    """How it was reached, as in `LoadKind`, or remote."""
    load_seconds: float | None = None
    tokens_per_second: float | None = None
    says: str = ""
    """The beginning of a reply."""
    seconds: float | None = None
    """Of a remote expert's reply."""
    cost: float | None = None
    """US dollars of a remote expert's reply; None: its price is not known, or it is local."""


@dataclass(frozen=True)
class CheckResult:
    """Every expert that was checked: local ones first."""

    experts: tuple[CheckedExpert, ...] = field(default=())

    @property
    def failed(self) -> int:
        """Number of experts with a problem."""
        return sum(one.problem is not None for one in self.experts)


def check(request: CheckRequest, context: Context) -> CheckResult:
    """Check the experts one after the other, each in the engine of the workers that take it, in this process. What is
    wrong with an expert is its `problem`. Raises `BadInput` for an unknown name, `SetupError` where the engine is not
    installed."""
    wanted = chosen(context.experts, request.experts)
    remote = [_remote(expert) for expert in wanted if expert.remote]
    experts = [expert for expert in wanted if not expert.remote]
    return CheckResult((*_local(experts, request, context), *remote))


def _local(experts: Sequence[Expert], request: CheckRequest, context: Context) -> list[CheckedExpert]:
    if not experts:
        return []
    groups = groups_of(context.config.workers)
    for group in groups:
        check_engine(engine_name(group))
        options(group)
    numbers = [numbered_group(expert.name, context.config.workers)[0] for expert in experts]
    by_name: dict[str, tuple[CheckedExpert, Canary | None]] = {}
    for number in sorted(set(numbers)):
        group = groups[number]
        engine = local_engine(engine_name(group), _options(group))
        try:
            for expert, own in zip(experts, numbers, strict=True):
                if own == number:
                    context.note(f"checking {expert.name}")
                    by_name[expert.name] = _loaded(engine, expert, request.prompts)
        finally:
            engine.close()
    found = [by_name[expert.name] for expert in experts]
    if not request.reference:
        return [checked for checked, _ in found]
    return _compared(experts, found, [groups[number] for number in numbers])


def _loaded(engine: Engine, expert: Expert, prompts: int) -> tuple[CheckedExpert, Canary | None]:
    """Load one expert, take its canary, measure its speed."""
    found, canary = CheckedExpert(expert.name), None
    try:
        load = engine.load(expert)
        found = replace(found, way=load.way, load_seconds=round(load.seconds, 3))
        if isinstance(engine, HasCanary):
            canary = engine.canary()
        speed, says = _speed(engine, expert, prompts)
        return replace(found, tokens_per_second=speed, says=says), canary
    except CollegiumError as error:
        return replace(found, problem=str(error)), canary


def _compared(
    experts: Sequence[Expert],
    found: Sequence[tuple[CheckedExpert, Canary | None]],
    groups: Sequence[WorkersConfig],
) -> list[CheckedExpert]:
    """Compare what was loaded with transformers, which computes in a process of its own. A comparison that cannot be
    made is a problem too: only `reference=False` leaves it out."""
    asked = [
        expert for expert, (checked, canary) in zip(experts, found, strict=True) if checked.problem is None and canary
    ]
    computed = dict(zip((one.name for one in asked), references(asked, COMPARED_TOKENS), strict=True)) if asked else {}
    agreed: set[tuple[str, str]] = set()
    return [
        _verdict(expert, checked, canary, computed.get(checked.expert), group, agreed)
        for expert, (checked, canary), group in zip(experts, found, groups, strict=True)
    ]


def _verdict(
    expert: Expert,
    checked: CheckedExpert,
    canary: Canary | None,
    reference: Reference | NoReference | None,
    group: WorkersConfig,
    agreed: set[tuple[str, str]],
) -> CheckedExpert:
    """`agreed`: engines and shapes that were seen to agree in float32."""
    if checked.problem is not None:
        return checked
    if not canary or reference is None:
        problem = "its engine has no canary to compare; use --no-reference"
        return replace(checked, reference="impossible", problem=problem)
    if isinstance(reference, NoReference):
        problem = f"transformers cannot compute it, so nothing was compared ({reference}); use --no-reference"
        return replace(checked, reference="impossible", problem=problem)
    engine, by_vllm = engine_name(group), engine_name(group) == "vllm"
    config = Sources().blend(expert).checkpoint.config if by_vllm else {}
    before = recall(expert, config) if by_vllm else None
    known = not by_vllm or (engine, expert.shape) in agreed or bool(before and before.exact and not before.why)
    make = functools.partial(local_engine, engine, _options(group))
    compared = agreement(expert, canary, reference, functools.partial(_exactly, make), known)
    if compared.exact and not compared.why:
        agreed.add((engine, expert.shape))
    if by_vllm and not known:
        remember(expert, config, compared)
    return _judged(checked, compared)


def _judged(checked: CheckedExpert, compared: Agreement) -> CheckedExpert:
    if compared.why:
        problem = f"not what transformers computes: {compared.why}"
        return replace(checked, reference="differs", problem=problem)
    return replace(checked, reference=f"equal in 16 bits ({compared.inexact})" if compared.inexact else "equal")


def _exactly(make_engine: Callable[[], Engine], expert: Expert) -> Canary:
    """What the engine says of an expert in float32. Raises `CollegiumError`."""
    blend = Sources().blend(expert)
    if why := too_large(blend.checkpoint, "float32"):
        raise ExpertError(why)
    engine = make_engine()
    try:
        engine.load(expert)
        return engine.canary() if isinstance(engine, HasCanary) else []
    finally:
        engine.close()


def _options(group: WorkersConfig) -> EngineOptions:
    """Of an engine that is compared here, not at its first start."""
    return replace(options(group), canary_tokens=COMPARED_TOKENS, compare=False)


def _remote(expert: Expert) -> CheckedExpert:
    """Ask a remote expert one short question: whether its key, address and model are right, and what it cost."""
    found = CheckedExpert(expert.name, reference="none: it is remote", way="remote")
    engine = RemoteEngine()
    try:
        load = engine.load(expert)
        messages, sampling = (("user", "What is the capital of France? One word."),), Sampling(max_tokens=REMOTE_TOKENS)
        key = request_key(expert.fingerprint, messages, sampling)
        started, deltas = time.perf_counter(), list[Delta]()
        engine.add(Request(key, expert.name, messages, sampling), expert)
        while not (deltas and deltas[-1].last):
            deltas += engine.step()
        if error := deltas[-1].error:
            raise error
        seconds, tokens = time.perf_counter() - started, sum(delta.tokens for delta in deltas)
        text = " ".join("".join(delta.text for delta in deltas).split())[:60]
        prompt = max(delta.prompt_tokens for delta in deltas)
        reply = Completion("", text, "stop", prompt, tokens, seconds=seconds, usage=deltas[-1].usage)
        return replace(
            found,
            load_seconds=round(load.seconds, 3),
            tokens_per_second=round(tokens / seconds, 1),
            says=text,
            seconds=round(seconds, 3),
            cost=price(expert, reply),
        )
    except CollegiumError as error:
        return replace(found, problem=str(error))
    finally:
        engine.close()


def _speed(engine: Engine, expert: Expert, prompts: int) -> tuple[float, str]:
    """Tokens per second over a small batch, and the beginning of what it says."""
    sampling = Sampling(max_tokens=48)
    for number in range(prompts):
        messages = (("user", f"Name {number + 3} animals and say a word about each."),)
        engine.add(
            Request(request_key(expert.fingerprint, messages, sampling), expert.name, messages, sampling), expert
        )
    started, tokens, last, text = time.perf_counter(), 0, 0, ""
    first: str | None = None
    while last < prompts:
        for delta in engine.step():
            if delta.error:
                raise ExpertError(f"expert {expert.name!r}: {delta.error}")
            first = first or delta.key
            text += delta.text if delta.key == first else ""
            tokens += delta.tokens
            last += delta.last
    return round(tokens / (time.perf_counter() - started), 1), " ".join(text.split())[:60]
