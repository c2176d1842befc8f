"""The real vLLM in a process of its own, held to CUDA's rules: what the engine's suite runs on in the place of a card.

As on a card: the model is in another process, reached through `collective_rpc` with plain values only; there is no
`model_executor`; level 2 takes the weights, packed copies and cached prefixes; graphs were captured, so that the model
is not built anew but written in place, and vLLM's own reload is what that is held against.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from orchestrator.inference.engines import vllm, vllm_shape, vllm_start
from orchestrator.inference.engines.engine import EngineOptions, LoadReport
from orchestrator.inference.engines.vllm_extension import WorkerExtension
from orchestrator.inference.expert import Expert
from tests.orchestrator.inference.engines.cuda_rules import GIB, crossing

ALLOWED = ("collective_rpc", "add_request", "abort_request", "step", "get_tokenizer", "vllm_config")
"""What our engine may use of vLLM's `LLMEngine` where the model is in another process."""


class Extension(WorkerExtension):
    """In vLLM's process: what CUDA does to a worker."""

    def collegium_open(self, source: Any, kept_bytes: int) -> tuple[bool, str | None]:
        """Captured graphs: the model cannot be replaced."""
        _, refusal = super().collegium_open(source, kept_bytes)
        return False, refusal

    def take_weights(self) -> None:
        """Sleep at level 2: parameters are gone, and what was packed from them."""
        worker: Any = self
        for layer in worker.model_runner.get_model().modules():
            for tensor in layer.parameters(recurse=False):
                tensor.data.fill_(float("nan"))
            if getattr(layer, "cpu_linear", None) is not None:
                layer.cpu_linear = None


class Rules:
    """vLLM's engine, as far as a card would let us at it."""

    def __init__(self, llm: Any) -> None:
        self._llm = llm
        self.asleep = False
        self.engine_core = _Core(llm)

    def __getattr__(self, name: str) -> Any:
        assert name in ALLOWED, f"on a card there is no {name}"
        assert not self.asleep or name in ("collective_rpc", "vllm_config"), f"{name} while asleep"
        return getattr(self._llm, name)

    def collective_rpc(
        self,
        method: str,
        timeout: float | None = None,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> list[Any]:
        answers: list[Any] = self._llm.collective_rpc(method, args=crossing(args))
        return answers

    def sleep(self, level: int = 1, mode: str = "abort") -> None:
        assert not self.asleep
        assert not self._llm.has_unfinished_requests()
        self.asleep = True
        self._llm.reset_prefix_cache()
        if level == 2:
            self._llm.collective_rpc("take_weights")

    def wake_up(self, tags: list[str] | None = None) -> bool:
        assert self.asleep
        self.asleep = False
        return True


class _Core:
    """No `engine_core` of its own: that is elsewhere."""

    def __init__(self, llm: Any) -> None:
        self._client = llm.engine_core

    def shutdown(self) -> None:
        """Ends the model's process. vLLM's own shutdown would also end the process groups of this one, with which other
        engines of the tests compute."""
        with patch("vllm.v1.engine.core.cleanup_dist_env_and_memory", lambda *_, **__: None):
            self._client.shutdown()


class EngineOnCard(vllm.VLLMEngine):
    """Our engine where it takes this machine for one with a card."""

    def __init__(self, options: EngineOptions) -> None:
        extension = f"{__name__}.{Extension.__name__}"
        super().__init__(EngineOptions(**{**_fields(options), "vllm": (("worker_extension_cls", extension),)}))

    def load(self, expert: Expert) -> LoadReport:
        with (
            patch.object(vllm_shape, "start", _started),
            patch.object(vllm, "on_gpu", lambda: True),
            patch.object(vllm, "device_bytes", lambda: 80 * GIB),
        ):
            return super().load(expert)


def _fields(options: EngineOptions) -> dict[str, Any]:
    import dataclasses

    return {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}


def _started(*arguments: Any) -> Rules:
    *rest, apart, decode, only = arguments
    assert apart, "one sleeping engine per process: each has one of its own"
    rules = Rules(vllm_start.start(*rest, apart, decode, only))
    rules._llm.vllm_config.model_config.enable_sleep_mode = True
    return rules
