"""One vLLM engine with one model's layout, and the ways to put another expert of that shape into it."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import sys
import warnings
from typing import Any

from merging.checkpoint import Checkpoint
from merging.gated_mixture import MODEL_TYPE
from merging.stream import Blend, plain
from orchestrator.errors import ExpertError, ExpertFailed
from orchestrator.inference.engines.engine import EngineOptions
from orchestrator.inference.engines.grammar import json_grammar
from orchestrator.inference.engines.schema import parse_structured
from orchestrator.inference.engines.vllm_kernels import use_kernels
from orchestrator.inference.engines.vllm_weights import LiveWeights, UnknownLayout
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Request

LOGGER = logging.getLogger(__name__)

STEP_TOKENS = 2048
"""Prompt tokens of one step on a CPU: more makes streams stutter, less wastes the matrix units."""
MIN_CONTEXT = 2048
MAX_LORA_RANK = 64
MAX_LORAS = 8


class LiveModel:
    """A live model. Single-threaded, like the engine that owns it."""

    def __init__(self, expert: Expert, checkpoint: Checkpoint, options: EngineOptions) -> None:
        """Starts vLLM on `checkpoint` itself; `become` then makes it `expert`."""
        if checkpoint.config.get("model_type") == MODEL_TYPE:
            raise ExpertError(
                f"{checkpoint.folder}: a {MODEL_TYPE} runs on the transformers engine only: set workers.engine to it"
            )
        self.checkpoint = checkpoint
        self.options = options
        self._longest = _longest(checkpoint)
        self.context = min(options.context or max(expert.context, MIN_CONTEXT), self._longest)
        self.bytes = self.estimate(checkpoint.bytes, options)
        self._asleep = False
        self._loras: dict[str, int] = {}
        self._llm = self._start()
        if not options.compile and self._on_cpu():
            use_kernels(self._model())
        self._weights: LiveWeights | None = None
        started = plain((checkpoint, None))
        self._resident: Blend | None = started
        try:
            self._weights = LiveWeights(self._model(), started, int(options.kept_gib * 2**30))
        except UnknownLayout as unknown:
            LOGGER.warning(f"{checkpoint.folder}: weights are reloaded, not written in place: {unknown}")

    @staticmethod
    def estimate(checkpoint_bytes: int, options: EngineOptions) -> int:
        """Memory that a shape takes: the weights, a packed copy of the output layer, the KV cache."""
        return int(checkpoint_bytes * 1.3 + (options.kv_gib or 1.0) * 2**30 + options.kept_gib * 2**30)

    def long_enough(self, expert: Expert) -> bool:
        """True if the expert's context fits, or no new start would make it fit."""
        return self.context >= min(self.options.context or expert.context, self._longest)

    def become(self, expert: Expert, blend: Blend) -> None:
        """Write the expert's weights into the live model. If it raises, the next call writes every tensor."""
        if self.side_by_side:
            self.hold(expert, blend)
            blend = self._base_of(expert, blend)
        resident, self._resident = self._resident, None
        if self._weights is not None:
            self._weights.become(blend)
        elif resident is None or blend.differing(resident):
            self._reload(expert, blend)
        self._resident = blend

    def distrust(self) -> None:
        """The live weights proved wrong: whatever comes next is written in full."""
        self._resident = None
        if self._weights is not None:
            self._weights.distrust()

    @property
    def side_by_side(self) -> bool:
        """True if adapters can run in the same batch."""
        return bool(self._llm.vllm_config.lora_config)

    def holds_beside(self, expert: Expert) -> bool:
        """True if the expert is an adapter over the very weights that are live."""
        if not self.side_by_side or expert.weights is None or self._resident is None:
            return False
        return self._resident.checkpoint.folder == expert.weights.model and not self._resident.low_rank

    def hold(self, expert: Expert, blend: Blend) -> None:
        """Give the expert's adapter a number of its own. Raises `ExpertError` if it is too wide for vLLM's kernels."""
        for _, adapter in blend.low_rank:
            if not adapter.low_rank_only:
                raise ExpertError(
                    f"expert {expert.name!r}: {adapter.folder} does more than add low-rank products (DoRA, rows "
                    "or whole modules), which vLLM does not serve side by side; merge it with `collegium merge`"
                )
            widest = max(pair.down.shape[0] for pair in adapter.pairs.values())
            if expert.weights and widest > MAX_LORA_RANK:
                raise ExpertError(
                    f"expert {expert.name!r}: {adapter.folder} has rank {widest}, side by side at most {MAX_LORA_RANK}"
                )
        if expert.weights and expert.weights.adapter:
            self._loras.setdefault(expert.fingerprint, len(self._loras) + 1)

    def add(self, request: Request, expert: Expert, ids: list[int], room: int, stop_ids: tuple[int, ...]) -> None:
        """Raises whatever vLLM refuses about the request."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        sampling = request.sampling
        structured = None
        if sampling.structured is not None:
            structured = StructuredOutputsParams(**_held_to(sampling.structured))
        params = SamplingParams(
            max_tokens=room,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            seed=request.seed if sampling.temperature > 0 else None,
            stop=list(sampling.stop),
            stop_token_ids=[] if sampling.ignore_eos else [*stop_ids, *sampling.stop_token_ids],
            ignore_eos=sampling.ignore_eos,
            min_p=sampling.min_p,
            presence_penalty=sampling.presence_penalty,
            frequency_penalty=sampling.frequency_penalty,
            repetition_penalty=sampling.repetition_penalty,
            logit_bias=dict(sampling.logit_bias) or None,
            bad_words=list(sampling.bad_words) or None,
            min_tokens=min(sampling.min_tokens, room),
            logprobs=sampling.logprobs,
            structured_outputs=structured,
            output_kind=RequestOutputKind.DELTA,
        )
        prompt = {"prompt_token_ids": ids, "cache_salt": expert.fingerprint}
        self._llm.add_request(request.key, prompt, params, lora_request=self._lora(expert))

    def add_canary(self, name: str, ids: list[int], tokens: int, top: int, expert: Expert) -> None:
        """A greedy request with log-probabilities that no cached prefix can answer."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(
            max_tokens=tokens,
            temperature=0.0,
            ignore_eos=True,
            logprobs=top,
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )
        prompt = {"prompt_token_ids": ids, "cache_salt": name}
        self._llm.add_request(name, prompt, params, lora_request=self._lora(expert))

    def step(self) -> list[Any]:
        """vLLM's outputs of one step."""
        outputs: list[Any] = self._llm.step()
        return outputs

    def abort(self, key: str) -> None:
        """Forget a request."""
        self._llm.abort_request([key])

    def sleep(self) -> None:
        """Give the accelerator's memory to another shape. On a CPU there is nothing to give."""
        if self._llm.vllm_config.model_config.enable_sleep_mode and not self._asleep:
            self._llm.sleep(level=1)
            self._asleep = True

    def wake(self) -> None:
        """Bring the weights back onto the device, if they were put away."""
        if self._asleep:
            self._llm.wake_up()
            self._asleep = False

    def close(self) -> None:
        """Give the memory back. The process keeps vLLM's process groups: other shapes compute with them."""
        self._weights = None
        core = getattr(self._llm.engine_core, "engine_core", None)
        if core is None:  # in processes of its own
            self._llm.engine_core.shutdown()
        else:
            # What EngineCore.shutdown does, without tearing down what every engine of this process shares.
            core.structured_output_manager.clear_backend()
            core.model_executor.shutdown()
            core.scheduler.shutdown()
            gc.unfreeze()
        del self._llm, core
        gc.collect()

    def _start(self) -> Any:
        # In this process: on a CPU half as fast again as vLLM's own default, which also outlives its parent's death.
        if self.options.tensor_parallel == 1:
            os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        from vllm.engine.arg_utils import EngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.llm_engine import LLMEngine

        options = self.options
        on_gpu = current_platform.is_cuda_alike()
        arguments: dict[str, Any] = {
            "model": str(self.checkpoint.folder),
            "tokenizer": str(self.checkpoint.folder),
            "max_model_len": self.context,
            "max_num_seqs": options.batch,
            "enable_prefix_caching": True,
            "tensor_parallel_size": options.tensor_parallel,
            "disable_log_stats": True,
            "generation_config": "vllm",
            "use_tqdm_on_load": False,
            "trust_remote_code": False,
            "load_format": "safetensors",
        }
        if on_gpu:
            arguments["enable_sleep_mode"] = True
            if options.kv_gib is not None:
                arguments["kv_cache_memory_bytes"] = int(options.kv_gib * 2**30)
        else:
            arguments["kv_cache_memory_bytes"] = int((options.kv_gib or 1.0) * 2**30)
            # A prompt enters in one step: where vLLM splits one, it rewinds the seeded generator of its request in a
            # way that only CUDA's know.
            arguments["enable_chunked_prefill"] = False
            arguments["max_num_batched_tokens"] = max(STEP_TOKENS, options.batch, self.context)
            arguments["enforce_eager"] = not options.compile
            if not options.compile:
                _without_compiler()
        if on_gpu if options.side_by_side is None else options.side_by_side:
            arguments |= {"enable_lora": True, "max_loras": MAX_LORAS, "max_lora_rank": MAX_LORA_RANK}
        _beside_numba()
        try:
            return LLMEngine.from_engine_args(EngineArgs(**arguments))
        except Exception as error:
            raise ExpertFailed(f"{self.checkpoint.folder}: vLLM cannot run it: {error}") from error

    def _on_cpu(self) -> bool:
        return str(self._llm.vllm_config.device_config.device_type) == "cpu" and self.options.tensor_parallel == 1

    def _model(self) -> Any:
        worker = getattr(getattr(self._llm.model_executor, "driver_worker", None), "worker", None)
        if worker is None or self.options.tensor_parallel > 1:
            raise UnknownLayout("the model lives in other processes")
        return worker.model_runner.get_model()

    def _reload(self, expert: Expert, blend: Blend) -> None:
        """vLLM's own way, several times slower, for layouts that `LiveWeights` does not know."""
        if self.options.tensor_parallel > 1:
            if blend.bytes != blend.checkpoint.bytes:
                raise ExpertFailed(f"expert {expert.name!r}: only whole checkpoints can be split over devices")
            self._llm.collective_rpc("reload_weights", kwargs={"weights_path": str(blend.checkpoint.folder)})
            return
        self._llm.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(blend)})
        # vLLM does not repack a tied output layer: it would go on answering with the old one.
        model = self._llm.model_executor.driver_worker.worker.model_runner.get_model()
        head = getattr(model, "lm_head", None)
        if head is not None and blend.checkpoint.tied and hasattr(head, "cpu_linear"):
            head.quant_method.process_weights_after_loading(head)

    def _base_of(self, expert: Expert, blend: Blend) -> Blend:
        return plain((blend.checkpoint, None)) if expert.weights and expert.weights.adapter else blend

    def _lora(self, expert: Expert) -> Any:
        if expert.fingerprint not in self._loras or not expert.weights:
            return None
        from vllm.lora.request import LoRARequest

        return LoRARequest(expert.name, self._loras[expert.fingerprint], str(expert.weights.adapter))


def _held_to(structured: str) -> dict[str, Any]:
    """As vLLM wants it. A JSON schema that xgrammar can keep to goes as a grammar: there white space has an end."""
    from vllm.v1.structured_output.backend_xgrammar import has_xgrammar_unsupported_json_features

    kind, value = parse_structured(structured)
    if kind == "json" and not has_xgrammar_unsupported_json_features(value):
        with contextlib.suppress(RuntimeError):  # vLLM knows other ways
            return {"grammar": json_grammar(json.dumps(value))}
    return {kind: value}


def _longest(checkpoint: Checkpoint) -> int:
    limit = checkpoint.config.get("max_position_embeddings")
    return limit if isinstance(limit, int) and limit > 0 else 1 << 20


def _without_compiler() -> None:
    """Keep the sampler's compiled parts plain: they take 20 s at the first token, and need a C++ compiler."""
    import torch._dynamo.config as dynamo

    dynamo.disable = True


def _beside_numba() -> None:
    """vLLM looks through every loaded module's objects and stumbles over llvmlite's, which answers `__dict__` with a
    function: where numba was used before (by a merge), give that object an empty one. Torch warns of an old name."""
    warnings.filterwarnings("ignore", r"`torch\.distributed\.reduce_op` is deprecated", FutureWarning)
    ffi = sys.modules.get("llvmlite.binding.ffi")
    if ffi is not None and hasattr(ffi.lib, "_fntab"):
        ffi.lib._fntab.setdefault("__dict__", {})
