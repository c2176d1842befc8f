"""One vLLM engine with one model's layout, and the ways to put another expert of that shape into it."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import math
from collections.abc import Mapping
from typing import Any

from merging.checkpoint import Checkpoint
from merging.decoded import DecodedCheckpoint
from merging.gated_mixture import MODEL_TYPE
from merging.stream import Blend, plain
from orchestrator.errors import ExpertError, ExpertFailed
from orchestrator.inference.engines.architecture import longest_context, longest_in_vllm
from orchestrator.inference.engines.engine import EngineOptions
from orchestrator.inference.engines.grammar import json_grammar
from orchestrator.inference.engines.penalties import biases
from orchestrator.inference.engines.schema import parse_structured
from orchestrator.inference.engines.vllm_live import RunnerModel, described, unchanged
from orchestrator.inference.engines.vllm_start import start
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Request

LOGGER = logging.getLogger(__name__)

MIN_CONTEXT = 2048


class LiveModel:
    """A live model. Single-threaded, like the engine that owns it."""

    def __init__(self, expert: Expert, checkpoint: Checkpoint, options: EngineOptions, apart: bool = False) -> None:
        """Starts vLLM on `checkpoint` itself; `become` then makes it `expert`. `apart`: in a process of its own, as a
        model over several devices always is."""
        if checkpoint.config.get("model_type") == MODEL_TYPE:
            raise ExpertError(
                f"{checkpoint.folder}: a {MODEL_TYPE} runs on the transformers engine only: set workers.engine to it"
            )
        self.options = options
        self.apart = apart
        self.elsewhere = apart or options.tensor_parallel > 1
        """The model is not in this process: what it is told crosses as plain values."""
        self.uncompared = ""
        """Why nobody has compared the model's type with transformers; empty: somebody has."""
        self.proven: set[str] = set()
        """Live tensors that were seen to be written in place as a fresh load would have set them."""
        self._open(expert, checkpoint)

    def _open(self, expert: Expert, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.longest = longest_in_vllm(checkpoint.config)
        if self.longest < longest_context(checkpoint.config):
            LOGGER.warning(
                f"{checkpoint.folder}: texts of at most {self.longest} tokens, beyond which vLLM computes short ones "
                "otherwise than the model's code; workers.engine: transformers has no such bound"
            )
        self.context = min(self.options.context or max(expert.context, MIN_CONTEXT), self.longest)
        self.bytes = self.estimate(live_bytes(checkpoint), self.options)
        self.moved = live_bytes(checkpoint)
        """Bytes of weights that were read since somebody set it to 0."""
        self._asleep = False
        self._loras: dict[str, int] = {}
        decode = isinstance(checkpoint, DecodedCheckpoint)
        only = not {*checkpoint.folder.glob("*.safetensors")} <= {*checkpoint.files}
        self._llm = start(expert, checkpoint.folder, self.context, self.options, self.apart, decode, only)
        started = plain((checkpoint, None))
        self._resident: Blend | None = started
        kept = int(self.options.kept_gib * 2**30)
        source = {"model": str(checkpoint.folder), "adapter": None} if self.elsewhere else started
        try:
            opened = self._calls("collegium_open", source, kept // self.options.tensor_parallel)
        except Exception:
            self.close()
            raise
        self.buildable = all(eager for eager, _ in opened)
        self.refusal = next((refusal for _, refusal in opened if refusal), None)
        if self.refusal and self.elsewhere:
            self._call("collegium_refuse", self.refusal)
        self.reloadable = False
        """vLLM's own reload was seen to give what a fresh start gives."""
        if self.refusal:
            LOGGER.info(f"{checkpoint.folder}: weights are loaded anew, not written in place: {self.refusal}")

    @staticmethod
    def estimate(checkpoint_bytes: int, options: EngineOptions) -> int:
        """Memory that a shape takes: the weights, a packed copy of the output layer, the KV cache."""
        return int(checkpoint_bytes * 1.3 + (options.kv_gib or 1.0) * 2**30 + options.kept_gib * 2**30)

    def long_enough(self, expert: Expert, longest: int) -> bool:
        """True if the expert's context fits, or no new start on its own folder would make it fit."""
        return self.context >= min(self.options.context or expert.context, longest)

    def become(self, expert: Expert, blend: Blend) -> list[str]:
        """Give the live model the expert's weights, the cheapest way that there is; what was written in place.

        If it raises, the next call writes every tensor.
        """
        if self.holds(expert, blend):
            self.hold(expert)
            blend, expert = plain((blend.checkpoint, None)), _base_of(expert)
        resident, self._resident = self._resident, None
        written: list[str] = []
        if self.refusal is None:
            written, moved = self._call("collegium_write", self._source(expert, blend))
            self.moved += moved
        elif resident is None or _differ(blend, resident):
            self._anew(expert, blend)
        self._resident = blend
        return written

    def renew(self, expert: Expert, blend: Blend) -> None:
        """The expert's weights from scratch, as a fresh start would load them: what other ways are held against."""
        if self.holds(expert, blend):
            blend, expert = plain((blend.checkpoint, None)), _base_of(expert)
        self._resident = None
        self.moved += live_bytes(blend.checkpoint)
        if self.buildable:
            self._call("collegium_build", self._source(expert, blend))
        elif self.refusal is None:  # graphs were captured: vLLM's reload, a way of its own, must agree
            self._call("collegium_reload", self._source(expert, blend))
        else:
            self._anew(expert, blend, again=True)
        self._resident = blend

    def read_ahead(self, expert: Expert, shapes: int) -> None:
        """Keep the expert's weight files in the memory of the processes that copy them to their cards, where there are
        such processes; `shapes` of them share what may be kept."""
        if self.elsewhere and self.options.host_gib:
            each = self.options.host_gib / shapes / self.options.tensor_parallel
            self._call("collegium_read_ahead", described(expert), each)

    def refuse_in_place(self, why: str) -> None:
        """Writing in place proved wrong: never again here."""
        self.refusal = why
        self._call("collegium_refuse", why)

    def distrust(self) -> None:
        """The live weights proved wrong: whatever comes next is written in full."""
        self._resident = None
        self._call("collegium_distrust")

    def unfilled(self) -> list[str]:
        """Matrices that the files of the last load from scratch did not fill."""
        names: list[str] = self._call("collegium_unfilled")
        return names

    @property
    def vocabulary(self) -> int:
        """Rows of the model's embedding: a tokenizer may have been given more tokens, which would end the engine."""
        return int(self._llm.vllm_config.model_config.get_vocab_size())

    @property
    def side_by_side(self) -> bool:
        """True if adapters can run in the same batch."""
        return bool(self._llm.vllm_config.lora_config)

    def holds_beside(self, expert: Expert, blend: Blend) -> bool:
        """True if the expert is an adapter over the very weights that are live, and vLLM can add it itself."""
        if self._resident is None or expert.weights is None or not unchanged(self._resident):
            return False
        return self._resident.checkpoint.folder == expert.weights.model and self.holds(expert, blend)

    def holds(self, expert: Expert, blend: Blend) -> bool:
        """True if vLLM adds the expert's adapter itself. A wider one than its kernels take is added on the way in."""
        if not self.side_by_side or expert.weights is None or expert.weights.adapter is None:
            return False
        adapters = [adapter for _, adapter in blend.low_rank]
        if not adapters or not all(adapter.low_rank_only for adapter in adapters):
            return False
        widest = max(pair.down.shape[0] for one in adapters for pair in one.pairs.values())
        return bool(widest <= self._llm.vllm_config.lora_config.max_lora_rank)

    def hold(self, expert: Expert) -> None:
        """Give the expert's adapter a number of its own."""
        self._loras.setdefault(expert.fingerprint, len(self._loras) + 1)

    def add(
        self,
        request: Request,
        expert: Expert,
        ids: list[int],
        room: int,
        stop_ids: tuple[int, ...],
        held: Mapping[str, Any],
        name: str = "",
        special: bool = False,
    ) -> None:
        """Raises whatever vLLM refuses about the request. `held`: what `held_to` gives for its structure; or empty.
        `name`: vLLM's for it (default: its key); `special`: special tokens' texts stand in the reply."""
        from vllm import SamplingParams
        from vllm.sampling_params import RepetitionDetectionParams, RequestOutputKind, StructuredOutputsParams

        sampling = request.sampling
        structured = None
        ends = list(stop_ids)
        if held:
            structured = StructuredOutputsParams(**held)
            # What vLLM's grammar ends with is the end token of the model that the engine was started on.
            ends += [token for token in self._ends() if token not in ends]
        params = SamplingParams(
            max_tokens=room,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            seed=request.seed if sampling.temperature > 0 else None,
            stop=[*sampling.stop, *expert.stop],
            stop_token_ids=[] if sampling.ignore_eos else [*ends, *sampling.stop_token_ids],
            ignore_eos=True,  # its own idea of an end token is another expert's
            min_p=sampling.min_p,
            presence_penalty=sampling.presence_penalty,
            frequency_penalty=sampling.frequency_penalty,
            repetition_penalty=sampling.repetition_penalty,
            logit_bias=biases(sampling, self.vocabulary) or None,
            bad_words=list(sampling.bad_words) or None,
            min_tokens=min(sampling.min_tokens, room),
            logprobs=sampling.logprobs,
            prompt_logprobs=sampling.logprobs if sampling.echo else sampling.prompt_logprobs,
            structured_outputs=structured,
            repetition_detection=RepetitionDetectionParams(*sampling.repetition) if sampling.repetition else None,
            skip_special_tokens=not special,
            output_kind=RequestOutputKind.DELTA,
        )
        prompt = {"prompt_token_ids": ids, "cache_salt": expert.fingerprint}
        self._llm.add_request(name or request.key, prompt, params, lora_request=self._lora(expert))

    def add_canary(self, name: str, ids: list[int], tokens: int, top: int, expert: Expert) -> None:
        """A greedy request with log-probabilities that no cached prefix can answer. 0 tokens: one, and the prompt's."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(
            max_tokens=tokens or 1,
            temperature=0.0,
            ignore_eos=True,
            logprobs=top,
            prompt_logprobs=None if tokens else top,
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

    @property
    def live(self) -> RunnerModel:
        """The live model, where it is in this process."""
        found: RunnerModel = self._call("collegium_live_model")
        return found

    def sleep(self) -> None:
        """Give the accelerator's memory to another shape. On a CPU there is nothing to give.

        Weights never change, and their files lie on disk: they are dropped (level 2), and whoever comes next is
        written in full. Only what cannot be written into this model is copied out (level 1).
        """
        if not self._llm.vllm_config.model_config.enable_sleep_mode or self._asleep:
            return
        if self.refusal is None or self.buildable:
            self.distrust()
            self._llm.sleep(level=2)
        else:
            self._llm.sleep(level=1)
        self._asleep = True

    def wake(self) -> None:
        """Take the device's memory again. After level 2 it holds no weights: `become` must follow."""
        if self._asleep:
            self._llm.wake_up()
            self._asleep = False

    def close(self) -> None:
        """Give the memory back. The process keeps vLLM's process groups: other shapes compute with them."""
        core = getattr(self._llm.engine_core, "engine_core", None)
        if core is None:  # in processes of its own
            self._llm.engine_core.shutdown()
        else:
            # What EngineCore.shutdown does, without tearing down what every engine of this process shares; vLLM would
            # do that too once its client is collected.
            if (finalizer := getattr(self._llm.engine_core, "_finalizer", None)) is not None:
                finalizer.detach()
            core.structured_output_manager.clear_backend()
            core.model_executor.shutdown()
            core.scheduler.shutdown()
            gc.unfreeze()
        del self._llm, core
        gc.collect()

    def _anew(self, expert: Expert, blend: Blend, again: bool = False) -> None:
        self.moved += 0 if again else live_bytes(blend.checkpoint)
        if self.buildable:
            self._call("collegium_build", self._source(expert, blend))
        elif self.reloadable:
            self._call("collegium_reload", self._source(expert, blend))
        elif unchanged(blend):
            self.close()
            self._open(expert, blend.checkpoint)
        else:
            raise ExpertFailed(
                f"expert {expert.name!r}: {self.refusal}: an adapter or recipe cannot be written into this model; "
                "write the merge to disk with `collegium merge` and add that folder"
            )

    def _source(self, expert: Expert, blend: Blend) -> Any:
        return described(expert) if self.elsewhere else blend

    def _call(self, method: str, *arguments: Any) -> Any:
        """What the worker says; of several, which all do the same, the first."""
        return self._calls(method, *arguments)[0]

    def _calls(self, method: str, *arguments: Any) -> list[Any]:
        answers: list[Any] = self._llm.collective_rpc(method, args=arguments)
        return answers

    def _ends(self) -> list[int]:
        config = self._llm.vllm_config.model_config.hf_config
        found = getattr(config, "eos_token_id", None)
        tokens = [*(found if isinstance(found, list) else [found]), self._llm.get_tokenizer().eos_token_id]
        return [token for token in tokens if isinstance(token, int)]

    def _lora(self, expert: Expert) -> Any:
        if expert.fingerprint not in self._loras or not expert.weights:
            return None
        from vllm.lora.request import LoRARequest

        return LoRARequest(expert.name, self._loras[expert.fingerprint], str(expert.weights.adapter))


def live_bytes(checkpoint: Checkpoint) -> int:
    """What the weights take once they are loaded."""
    if isinstance(checkpoint, DecodedCheckpoint):
        return sum(2 * math.prod(info.shape) for info in checkpoint.tensors.values())
    return checkpoint.bytes


def _base_of(expert: Expert) -> Expert:
    from dataclasses import replace

    from orchestrator.inference.expert import Weights

    assert expert.weights is not None
    return replace(expert, weights=Weights(expert.weights.model))


def _differ(blend: Blend, resident: Blend) -> bool:
    """True unless the two are the same sum of the same files (quantised tensors cannot be compared as numbers)."""
    return any(blend.origin(name) != resident.origin(name) for name in blend.names)


def held_to(structured: str) -> dict[str, Any]:
    """`Sampling.structured` as vLLM wants it.

    A JSON schema that xgrammar can keep to goes as a grammar: there white space has an end.
    """
    from vllm.v1.structured_output.backend_xgrammar import has_xgrammar_unsupported_json_features

    kind, value = parse_structured(structured)
    if kind == "json" and not has_xgrammar_unsupported_json_features(value):
        with contextlib.suppress(RuntimeError):  # vLLM knows other ways
            return {"grammar": json_grammar(json.dumps(value))}
    return {kind: value}
