"""Starting vLLM on one checkpoint: the arguments that fit this machine, and what a second engine in a process needs."""

from __future__ import annotations

import json
import logging
import math
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.errors import ExpertError, ExpertFailed
from orchestrator.inference.engines.architecture import as_transformers, transformers_code
from orchestrator.inference.engines.engine import EngineOptions
from orchestrator.inference.engines.vllm_live import FORMAT, register_loader
from orchestrator.inference.expert import Expert

STEP_TOKENS = 2048
"""Prompt tokens of one step on a CPU: more makes streams stutter, less wastes the matrix units."""
ENTERING_TOKENS = 256
"""Prompt tokens of requests that somebody waits for, after which no more of them begin in one step on a CPU. Of 32 that
came at once, half had their first token after 0.5 s; after 0.7 s with 512 and after 1.0 s without a bound."""
UTILISATION = 0.85
"""Share of a card that an engine takes. The rest is for what sleeping engines leave there."""
ASLEEP_GIB = 2.0
"""What a sleeping engine leaves on its card, at most: a CUDA context and captured graphs (an estimate)."""
WORK_GIB = 2.0
"""To compute in, beside weights and cache (an estimate)."""
MAX_LORA_RANK = 64
MAX_LORAS = 8
EXTENSION = "orchestrator.inference.engines.vllm_extension.WorkerExtension"

ANSWERS_DIFFER = frozenset({"gemma3n", "gemma3n_text", "gpt_oss", "hrm_text", "jetmoe"})
"""Types that vLLM's build for CPUs answers otherwise than transformers: benchmarks/results/architectures.md. On
a card, where nobody measured it, `collegium experts check` compares the two."""

TOO_LITTLE_MEMORY = re.compile(
    r"out of memory|allocate memory|bad_alloc|MemoryError|KV cache|free memory", re.IGNORECASE
)

KEYS_DIFFER: Mapping[str, Mapping[str, Any]] = {
    "gpt2": {"scale_attn_weights": False},
    "olmoe": {"norm_topk_prob": True},
}
"""By type: values of keys that vLLM's class does not read."""
PART_OF_HEAD = ("partial_rotary_factor", "rotary_pct", "rotary_emb_fraction")
"""Shares of a head that are turned: vLLM reads them for any type, transformers' default rotary only for some."""

_NOT_IMPORTED: dict[str, str] = {}
"""Classes of models that vLLM could not import in this process, and why. It tries each once."""


def refuse_differing(expert: Expert, config: Mapping[str, Any], gpu: bool) -> None:
    """Raises `ExpertFailed` for a model that vLLM computes wrong: by a key of its config.json, or on a CPU its type."""
    if key := differing_key(config):
        raise ExpertFailed(
            f"expert {expert.name!r}: config.json: {key}: vLLM answers otherwise than transformers with this key in a "
            f"model of type {config.get('model_type')!r}: set workers.engine: transformers"
        )
    if not gpu and (kind := config.get("model_type")) in ANSWERS_DIFFER:
        raise ExpertFailed(
            f"expert {expert.name!r}: vLLM on a CPU answers otherwise than transformers with models of type {kind!r}: "
            "set workers.engine: transformers"
        )


def differing_key(config: Mapping[str, Any]) -> str:
    """The key of a config.json whose value vLLM computes with otherwise than transformers; empty: none known."""
    kind = str(config.get("model_type"))
    for key, wrong in KEYS_DIFFER.get(kind, {}).items():
        if config.get(key) == wrong:
            return key
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(rope, Mapping) or rope.get("rope_type", rope.get("type", "default")) != "default":
        return ""
    for key in PART_OF_HEAD:
        value = config.get(key, rope.get(key))
        if value not in (None, 1, 1.0) and (code := transformers_code(kind)) and key not in code:
            return key
    return ""


def loading_failed(expert: Expert, config: Mapping[str, Any], error: Exception) -> ExpertFailed:
    """What vLLM raised, on one line with the expert and its model's type."""
    kind = config.get("model_type")
    said = f"expert {expert.name!r}: vLLM cannot load this model of type {kind!r}: {_reason(error)}"
    return ExpertFailed(_with_remedy(said))


def _reason(error: Exception) -> str:
    """An error on one line; a bare assertion says nothing itself."""
    return f"{type(error).__name__}: {one_line(error) or 'a condition in vLLM does not hold'}"


def _with_remedy(said: str) -> str:
    if TOO_LITTLE_MEMORY.search(said):
        return f"{said}; lower workers.kv_gib or the expert's context, or give it a machine with more memory"
    return f"{said}; workers.engine: transformers may run it"


def on_gpu() -> bool:
    """vLLM computes on CUDA (or what behaves like it)."""
    from vllm.platforms import current_platform

    return bool(current_platform.is_cuda_alike())


def device_bytes() -> int:
    """Memory of the first card that this process sees."""
    from vllm.platforms import current_platform

    return int(current_platform.get_device_total_memory(0))


def utilisation(options: EngineOptions) -> float:
    """The share of a card that one engine takes."""
    return float(dict(options.vllm).get("gpu_memory_utilization", UTILISATION))


def asleep_at_once(options: EngineOptions, card: int) -> int:
    """Engines that may sleep on a card of so many bytes beside one that is awake: what each leaves there (its context,
    its graphs) must fit into the share that no engine takes."""
    return int((1 - utilisation(options)) * card / (ASLEEP_GIB * 2**30))


def check_fit(expert: Expert, weights: int, options: EngineOptions, card: int) -> None:
    """Raises `ExpertError` with the sums if so many bytes of weights and a key-value cache do not fit on the cards."""
    cards, share = options.tensor_parallel, utilisation(options)
    cache = int((options.kv_gib or 0.0) * 2**30)
    each, room = weights / cards + cache + WORK_GIB * 2**30, share * card
    if each <= room:
        return
    left = room - cache - WORK_GIB * 2**30
    hint = (
        f"set workers.tensor_parallel to at least {math.ceil(weights / left)}" if left > 0 else "lower workers.kv_gib"
    )
    gib = [f"{one / 2**30:.1f}" for one in (weights / cards, cache, room, card)]
    raise ExpertError(
        f"expert {expert.name!r} does not fit: {gib[0]} GiB of weights on each of {cards} card(s), {gib[1]} GiB of "
        f"cache and {WORK_GIB:g} GiB to compute in, but {gib[2]} of its {gib[3]} GiB may be used; {hint}"
    )


def start(
    expert: Expert,
    folder: Path,
    context: int,
    options: EngineOptions,
    apart: bool,
    decode: bool = False,
    only: bool = False,
) -> Any:
    """vLLM's `LLMEngine` on a checkpoint folder, as `expert` wants it. `apart`: the model in a process of its own;
    `decode`: the folder's quantised weights as the numbers that they stand for; `only`: other safetensors lie in the
    folder, which are not to be read.

    Raises `ExpertFailed` with what vLLM says.
    """
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = str(int(apart))
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    from vllm import envs
    from vllm.engine.arg_utils import EngineArgs
    from vllm.v1.engine.llm_engine import LLMEngine

    envs.disable_envs_cache()  # an engine that began before in this process has kept the environment as it was then
    _beside_numba()
    hush_registry()
    gpu = on_gpu()
    # Ours notices what vLLM's own loader does not; a user's choice goes before it where nothing depends on it.
    ours = decode or only or "load_format" not in dict(options.vllm)
    if ours:
        register_loader()
    if not gpu and not options.compile:
        _without_compiler()
    own = {name: value for name in ("dtype", "quantization") if (value := getattr(expert, name))}
    wanted = {**arguments(folder, context, options, gpu), **dict(options.vllm), **own}
    if decode:
        wanted.pop("quantization", None)
        wanted["hf_overrides"] = {**dict(wanted.get("hf_overrides") or {}), "quantization_config": None}
    told = as_transformers(json.loads((folder / "config.json").read_text("utf-8")))
    if told and not callable(wanted.get("hf_overrides")):
        own_words = dict(wanted.get("hf_overrides") or {})
        if isinstance(own_words.get("text_config"), Mapping) and "text_config" in told:
            own_words["text_config"] = {**told["text_config"], **own_words["text_config"]}
        wanted["hf_overrides"] = {**told, **own_words}
    if ours:
        source = {"model": str(folder), "adapter": None, "decode": decode}
        wanted |= {"load_format": FORMAT, "model_loader_extra_config": source}
    wanted["trust_remote_code"] = expert.trust_remote_code
    try:
        made = EngineArgs(**wanted)
        if wanted.get("enable_lora") and not _takes_adapters(made):
            # Adapters are added to the weights on the way in, as on a CPU.
            wanted = {name: value for name, value in wanted.items() if "lora" not in name}
            made = EngineArgs(**wanted)
        if not gpu and "enable_prefix_caching" not in dict(options.vllm) and _has_state(made):
            made = EngineArgs(**{**wanted, "enable_prefix_caching": False})
        if not apart:
            _expert_parallel_group()
        with _bound("" if gpu else cores_of(options.tensor_parallel)):
            return LLMEngine.from_engine_args(made)
    except Exception as error:
        why = not_imported(str(error)) or one_line(error) or _reason(error)
        raise ExpertFailed(_with_remedy(f"{folder}: vLLM cannot run it: {why}")) from error


def hush_registry() -> None:
    """Note why vLLM cannot import a model's class, in place of the traceback that it logs, once per class."""
    logger = logging.getLogger("vllm.model_executor.models.registry")
    if _noted not in logger.filters:
        logger.addFilter(_noted)


def _noted(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if error is None or not isinstance(record.args, tuple) or len(record.args) != 1:
        return True
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    _NOT_IMPORTED[str(record.args[0])] = lines[-1][:300] if lines else type(error).__name__
    return False


def not_imported(said: str) -> str:
    """Of an error of vLLM that names a class which it could not import, why; empty for others."""
    for name, why in _NOT_IMPORTED.items():
        if f"'{name}'" in said:
            return f"its class {name} cannot be imported: {why}"
    return ""


def cores_of(workers: int) -> str:
    """The cores of each of several workers of vLLM on a CPU, in vLLM's form: of its own accord it wants a memory node
    for each. With fewer cores than workers they are not bound; empty for one worker."""
    if workers == 1:
        return ""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    share = len(cores) // workers
    if not share:
        return "nobind"
    return "|".join(",".join(map(str, cores[n * share : (n + 1) * share])) for n in range(workers))


@contextmanager
def _bound(cores: str) -> Iterator[None]:
    """Tell vLLM, while it starts, which cores its workers have, unless the user does."""
    name = "VLLM_CPU_OMP_THREADS_BIND"
    if not cores or name in os.environ:
        yield
        return
    os.environ[name] = cores
    try:
        yield
    finally:
        del os.environ[name]


def _has_state(made: Any) -> bool:
    """The model remembers by a state beside the key-value cache (Mamba and hybrids).

    vLLM keeps prefixes of such a state only while it splits prompts, which a CPU does not do here.
    """
    return bool(made.create_model_config().has_inner_state)


def _takes_adapters(made: Any) -> bool:
    """vLLM has this architecture with adapters side by side."""
    from vllm.model_executor.models.interfaces import supports_lora

    config = made.create_model_config()
    model, _ = config.registry.resolve_model_cls(config.architectures, config)
    return bool(supports_lora(model))


def arguments(folder: Path, context: int, options: EngineOptions, gpu: bool) -> dict[str, Any]:
    """vLLM's engine arguments."""
    found: dict[str, Any] = {
        "model": str(folder),
        "tokenizer": str(folder),
        "max_model_len": context,
        "max_num_seqs": options.batch,
        "enable_prefix_caching": True,
        "tensor_parallel_size": options.tensor_parallel,
        "disable_log_stats": True,
        "generation_config": "vllm",
        "use_tqdm_on_load": False,
        "load_format": "safetensors",
        "worker_extension_cls": EXTENSION,
    }
    if gpu:
        found["enable_sleep_mode"] = True
        found["gpu_memory_utilization"] = UTILISATION
        if options.kv_gib is not None:
            found["kv_cache_memory_bytes"] = int(options.kv_gib * 2**30)
    else:
        found["kv_cache_memory_bytes"] = int((options.kv_gib or 1.0) * 2**30)
        # A prompt enters in one step: where vLLM splits one, it rewinds the seeded generator of its request in a
        # way that only CUDA's know.
        found["enable_chunked_prefill"] = False
        found["max_num_batched_tokens"] = max(STEP_TOKENS, options.batch, context)
        found["enforce_eager"] = not options.compile
    if options.side_by_side:
        found |= {"enable_lora": True, "max_loras": MAX_LORAS, "max_lora_rank": MAX_LORA_RANK}
    return found


def _expert_parallel_group() -> None:
    """vLLM makes its process groups once a process, and leaves out the one that mixtures of experts need if the first
    model is dense: make it where it is missing."""
    from vllm.distributed import parallel_state

    if not parallel_state.model_parallel_is_initialized() or parallel_state._EP is not None:
        return
    group = parallel_state.get_world_group()
    ranks = [list(range(group.world_size))]
    backend = str(getattr(group, "backend", "gloo"))
    parallel_state._EP = parallel_state.init_model_parallel_group(ranks, group.local_rank, backend, group_name="ep")


def one_line(error: BaseException) -> str:
    """What it says, without line breaks and not without end."""
    return " ".join(str(error).split())[:600]


def _without_compiler() -> None:
    """Keep the sampler's compiled parts plain: they take 20 s at the first token, and need a C++ compiler."""
    import torch._dynamo.config as dynamo

    dynamo.disable = True
    os.environ["TORCHDYNAMO_DISABLE"] = "1"  # for vLLM's own processes


def _beside_numba() -> None:
    """vLLM looks through every loaded module's objects and stumbles over llvmlite's, which answers `__dict__` with a
    function: give that object an empty one, also where numba is loaded only by a model's class, or somebody has looked
    before. Torch warns of an old name."""
    warnings.filterwarnings("ignore", r"`torch\.distributed\.reduce_op` is deprecated", FutureWarning)
    try:
        from llvmlite.binding import ffi
    except ImportError:
        return
    if hasattr(ffi.lib, "_fntab"):
        ffi.lib._fntab["__dict__"] = {}
