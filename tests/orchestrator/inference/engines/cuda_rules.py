"""vLLM's rules on CUDA without a card: what it allows, refuses and forgets there, over a model of two matrices.

Rules, each from vLLM's source: an allocator that can sleep serves one engine a process (`gpu_worker.py`); with an
engine in a process of its own there is no `model_executor` here, and what crosses is plain data; at start an engine
wants its share of the card to be free (`worker/utils.py`); level 2 drops the weights, and buffers come back; sleeping
forgets cached prefixes; graphs were captured, so that no other model can take the place of the one that is there.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from orchestrator.inference.engines.engine import EngineOptions
from orchestrator.inference.engines.vllm_live import WorkerExtension
from orchestrator.inference.engines.vllm_start import utilisation
from orchestrator.inference.expert import Expert

GIB = 2**30


class Card:
    """One card: who holds what of it."""

    def __init__(self, gib: float = 80.0, remainder_gib: float = 1.5) -> None:
        self.total, self.remainder = int(gib * GIB), int(remainder_gib * GIB)
        self.engines: list[CudaEngine] = []
        self.started: list[str] = []

    @property
    def free(self) -> int:
        return self.total - sum(engine.held for engine in self.engines)

    def start(
        self,
        expert: Expert,
        folder: Path,
        context: int,
        options: EngineOptions,
        apart: bool,
        decode: bool = False,
        only: bool = False,
    ) -> CudaEngine:
        """In the place of `vllm_start.start`."""
        assert not decode, "a card has kernels for quantised weights"
        if not apart and any(not engine.apart for engine in self.engines):
            raise AssertionError("CuMem allocator can only be used for one instance per process.")
        wanted = int(utilisation(options) * self.total)
        if self.free < wanted:
            raise ValueError(f"Free memory on device ({self.free}) on startup is less than desired ({wanted})")
        engine = CudaEngine(self, folder, wanted, apart)
        self.engines.append(engine)
        self.started.append(folder.name)
        return engine


def crossing(given: tuple[Any, ...]) -> tuple[Any, ...]:
    """What arrives in another process: plain values, and nothing that is open here."""
    arrived: tuple[Any, ...] = pickle.loads(pickle.dumps(given))
    assert all(type(one) in (dict, int, str, list, tuple, float, bool, type(None)) for one in arrived), arrived
    return arrived


class Tiny(torch.nn.Module):
    """Parameters by the names of the file; a buffer that no file has."""

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            module: torch.nn.Module = self
            *path, last = name.split(".")
            for part in path:
                if not hasattr(module, part):
                    module.add_module(part, torch.nn.Module())
                module = getattr(module, part)
            module.register_parameter(last, torch.nn.Parameter(tensor.clone(), requires_grad=False))
        self.register_buffer("scale", torch.tensor(2.0))

    def forward(self, token: int) -> torch.Tensor:
        weights = dict(self.named_parameters())
        embedding = weights["model.embed_tokens.weight"].float()
        hidden = embedding[token % len(embedding)] @ weights["model.layers.0.self_attn.q_proj.weight"].float().T
        return torch.log_softmax(hidden @ embedding.T * self.scale, -1)


class Worker(WorkerExtension):
    """The process that has the card: vLLM's worker with our extension mixed in."""

    device = "cuda:0"

    def __init__(self, folder: Path) -> None:
        from safetensors.torch import load_file

        model = Tiny(load_file(folder / "model.safetensors"))
        self.model_runner = SimpleNamespace(
            get_model=lambda: model,
            device="cuda:0",
            model_config=SimpleNamespace(enforce_eager=False),
            reload_weights=self._reload,
        )
        self.model = model

    def _reload(self, weights_iterator: Iterator[tuple[str, torch.Tensor]]) -> None:
        parameters = dict(self.model.named_parameters())
        for name, tensor in weights_iterator:
            parameters[name].data.copy_(tensor)


class CudaEngine:
    """As vLLM's `LLMEngine`, as far as `LiveModel` uses it."""

    def __init__(self, card: Card, folder: Path, share: int, apart: bool) -> None:
        self.card, self.apart, self.share = card, apart, share
        self.held = share
        self.worker = Worker(folder)
        self.asleep = 0
        self.cached: set[tuple[str, tuple[int, ...]]] = set()
        self._running: dict[str, tuple[list[int], Any]] = {}
        self._buffers: dict[str, torch.Tensor] = {}
        config = json.loads((folder / "config.json").read_text())
        self.vllm_config = SimpleNamespace(
            lora_config=None,
            model_config=SimpleNamespace(enable_sleep_mode=True, hf_config=SimpleNamespace(**config)),
        )
        self.engine_core = SimpleNamespace(shutdown=self._shutdown)  # no engine_core of its own: it is elsewhere

    def collective_rpc(
        self,
        method: str,
        timeout: float | None = None,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> list[Any]:
        answer = getattr(self.worker, method)(*crossing(args))
        return [list(answer) if isinstance(answer, tuple) else answer]

    def sleep(self, level: int = 1, mode: str = "abort") -> None:
        assert not self.asleep
        assert not self._running
        self.asleep, self.held = level, self.card.remainder
        self.cached.clear()
        if level == 2:
            self._buffers = {name: buffer.clone() for name, buffer in self.worker.model.named_buffers()}
            for tensor in (*self.worker.model.parameters(), *self.worker.model.buffers()):
                tensor.data.fill_(float("nan"))

    def wake_up(self, tags: list[str] | None = None) -> bool:
        assert self.asleep
        if self.card.free + self.held < self.share:
            raise RuntimeError("CUDA out of memory")
        self.asleep, self.held = 0, self.share
        for name, buffer in self.worker.model.named_buffers():
            if name in self._buffers:
                buffer.data.copy_(self._buffers[name])
        return True

    def add_request(
        self, request_id: str, prompt: Any, params: Any, arrival_time: float | None = None, lora_request: Any = None
    ) -> None:
        assert not self.asleep
        assert lora_request is None
        self._running[request_id] = (list(prompt["prompt_token_ids"]), params)

    def abort_request(self, request_ids: list[str], internal: bool = False) -> None:
        for key in request_ids:
            self._running.pop(key, None)

    def step(self) -> list[Any]:
        assert not self.asleep
        outputs = []
        for key, (ids, params) in list(self._running.items()):
            said = [None, *(_likeliest(self.worker.model(token)) for token in ids[:-1])]
            chances = self.worker.model(ids[-1])
            best, top = int(chances.argmax()), _likeliest(chances)
            ids.append(best)
            part = SimpleNamespace(text=f" {best}", token_ids=[best], logprobs=[top], finish_reason=None)
            params.max_tokens -= 1
            if not params.max_tokens:
                part.finish_reason = "length"
                del self._running[key]
            prompt = said if params.prompt_logprobs else None
            outputs.append(
                SimpleNamespace(request_id=key, outputs=[part], prompt_token_ids=ids, prompt_logprobs=prompt)
            )
        return outputs

    def get_tokenizer(self) -> Any:
        return SimpleNamespace(eos_token_id=None)

    def _shutdown(self) -> None:
        self.card.engines.remove(self)


def _likeliest(chances: Any) -> dict[int, Any]:
    return {int(token): SimpleNamespace(logprob=float(chances[token])) for token in chances.topk(8).indices}
