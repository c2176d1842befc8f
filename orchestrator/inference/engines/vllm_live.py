"""The model inside vLLM's worker, and the ways to give it another expert's weights.

Three ways, cheapest first. *In place*: `LiveWeights` writes the tensors that differ. *Anew*: the model is built and
loaded from scratch by vLLM's own loader, as at a start, and takes over the key-value cache of its predecessor; it is
right by construction, for any architecture and quantisation, and needs no compiled or captured graph of the old one.
*Reload*: vLLM's `reload_weights`, where graphs were captured; whether it is right is for the caller to prove.

This runs where the model lives: in the engine's process, or in vLLM's own. `WorkerExtension` is what vLLM mixes into
its worker, so that `collective_rpc` reaches the same code in both cases and on every device of a split model.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from merging.checkpoint import Checkpoint
from merging.stream import Blend
from orchestrator.inference.engines.vllm_kernels import rotate_rows, use_kernels
from orchestrator.inference.engines.vllm_split import UnknownLayout
from orchestrator.inference.engines.vllm_weights import LiveWeights, refuse_unused
from orchestrator.inference.expert import Expert, ExpertRecipe, Weights

if TYPE_CHECKING:
    from orchestrator.inference.engines.sources import Sources

FORMAT = "collegium"
PLAIN_WEIGHTS = (".weight", ".bias")
EXPERT_WEIGHTS = ("w13_weight", "w2_weight", "w13_bias", "w2_bias")
"""vLLM's names for the weights of a mixture's experts, all of a layer in one tensor."""
CACHES = ("kv_cache",)
"""What a layer holds for the scheduler's sake, not the weights'."""


class RunnerModel:
    """One model runner's model."""

    def __init__(self, runner: Any, blend: Blend, kept_bytes: int) -> None:
        """`blend` is what the runner has loaded."""
        self._runner = runner
        self._kept_bytes = kept_bytes
        self.eager = bool(runner.model_config.enforce_eager)
        """No graph was compiled or captured: the model can be replaced."""
        self.weights: LiveWeights | None = None
        self.refusal: str | None = None
        """Why the weights cannot be written in place; None: they can."""
        self._adopt(blend)

    @property
    def model(self) -> Any:
        """The torch module."""
        return self._runner.get_model()

    def write(self, blend: Blend) -> tuple[list[str], int]:
        """In place: the live tensors written, by name, and the bytes read for them. Raises `UnknownLayout` where that
        is refused."""
        if self.weights is None:
            raise UnknownLayout(self.refusal or "unknown")
        return self.weights.become(blend), self.weights.moved

    def build(self, blend: Blend) -> None:
        """Anew, from scratch."""
        from vllm.config import set_current_vllm_config

        config = self._runner.vllm_config
        layers: dict[str, Any] = config.compilation_config.static_forward_context
        before = {name: (dict(vars(layer)), dict(_scale_caches(layer))) for name, layer in layers.items()}
        self.weights = None
        self._runner.model = None
        layers.clear()
        config.compilation_config.static_all_moe_layers.clear()
        gc.collect()
        with set_current_vllm_config(config), _weights_pool(config.model_config):
            model = _loader(config.load_config, blend).load_model(vllm_config=config, model_config=config.model_config)
            if self._runner.lora_config:
                model = self._runner.load_lora_model(model, config, self._runner.device)
        self._runner.model = model
        for name, layer in layers.items():
            own, scales = before.get(name, ({}, {}))
            # The cache, and what vLLM's attention backends have noted on the layer since it was made.
            for key in [key for key in own if key in CACHES or key not in vars(layer)]:
                setattr(layer, key, own[key])
            for key, scale in scales.items():
                setattr(layer.impl, key, scale)
        self._adopt(blend)

    def reload(self, blend: Blend) -> None:
        """vLLM's own way."""
        self._runner.reload_weights(weights_iterator=iter(blend))
        if self.weights is not None:
            self.weights.resident = blend

    def distrust(self) -> None:
        """What is live proved wrong: the next `write` writes every tensor from its file."""
        if self.weights is not None:
            self.weights.distrust()

    def refuse(self, why: str) -> None:
        """Never write in place again."""
        self.weights, self.refusal = None, why

    def _adopt(self, blend: Blend) -> None:
        model = self._runner.get_model()
        if str(self._runner.device) == "cpu":
            rotate_rows(model)
            if self.eager:
                use_kernels(model)
        refuse_unused(model, blend.checkpoint)
        if self.refusal is None:
            try:
                self.weights = LiveWeights(model, blend, self._kept_bytes)
            except UnknownLayout as unknown:
                self.refusal = str(unknown)


class WorkerExtension:
    """vLLM's worker with these methods; `source` is a `Blend` in this process, what `described` gives elsewhere."""

    def collegium_open(self, source: Any, kept_bytes: int) -> tuple[bool, str | None]:
        """Look at the model that `source` was loaded into: (it can be built anew, why not in place)."""
        worker: Any = self
        worker.collegium_live = RunnerModel(worker.model_runner, _blend(self, source), kept_bytes)
        return worker.collegium_live.eager, worker.collegium_live.refusal

    def collegium_write(self, source: Any) -> tuple[list[str], int]:
        """In place: the names of the live tensors written, and the bytes read for them."""
        return _live(self).write(_blend(self, source))

    def collegium_build(self, source: Any) -> None:
        """Anew, from scratch."""
        _live(self).build(_blend(self, source))

    def collegium_reload(self, source: Any) -> None:
        """By vLLM's own reload."""
        _live(self).reload(_blend(self, source))

    def collegium_read_ahead(self, source: Any, host_gib: float) -> None:
        """Keep the expert's weight files in this process's memory, `host_gib` of all at most."""
        sources = _sources(self)
        sources.host.limit = int(host_gib * 2**30)
        sources.read_ahead(undescribed(source))

    def collegium_unfilled(self) -> list[str]:
        """Matrices of the live model that its files did not fill."""
        return list(getattr(_live(self).model, "collegium_unfilled", ()))

    def collegium_distrust(self) -> None:
        """The next write writes every tensor."""
        _live(self).distrust()

    def collegium_refuse(self, why: str) -> None:
        """Never write in place again."""
        _live(self).refuse(why)

    def collegium_live_model(self) -> RunnerModel:
        """The live model itself; in this process only."""
        return _live(self)


def unchanged(blend: Blend) -> bool:
    """The model is one checkpoint as it lies on disk: nothing is to be computed."""
    return (
        type(blend.checkpoint) is Checkpoint
        and type(blend) is Blend
        and len(blend.dense) == 1
        and blend.dense[0][0] == 1
        and not blend.low_rank
    )


def described(expert: Expert) -> dict[str, Any]:
    """The expert's weights in plain values, for a worker in another process. Raises ValueError for an expert without
    weights."""
    if expert.weights:
        return {"model": str(expert.weights.model), "adapter": _text(expert.weights.adapter)}
    recipe = expert.recipe
    if recipe is None:
        raise ValueError(f"expert {expert.name!r} has no weights")
    return {
        "method": recipe.method,
        "sources": [[str(source.model), _text(source.adapter)] for source in recipe.sources],
        "coefficients": list(recipe.coefficients),
        "base": [str(recipe.base.model), _text(recipe.base.adapter)] if recipe.base else None,
        "parameters": dict(recipe.parameters),
        "each": [dict(one) for one in recipe.each],
        "seed": recipe.seed,
    }


def undescribed(source: Mapping[str, Any]) -> Expert:
    """The inverse of `described`, as far as weights go."""
    if "model" in source:
        return Expert("live", "live", "live", weights=_weights((source["model"], source["adapter"])))
    recipe = ExpertRecipe(
        source["method"],
        tuple(_weights(one) for one in source["sources"]),
        tuple(source["coefficients"]),
        _weights(source["base"]) if source["base"] else None,
        source["parameters"],
        tuple(source["each"]),
        source["seed"],
    )
    return Expert("live", "live", "live", recipe=recipe)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _weights(pair: Any) -> Weights:
    model, adapter = pair
    return Weights(Path(model), Path(adapter) if adapter else None)


def _live(worker: Any) -> RunnerModel:
    live: RunnerModel = worker.collegium_live
    return live


def _blend(worker: Any, source: Any) -> Blend:
    if not isinstance(source, Mapping):
        blend: Blend = source
        return blend
    return _sources(worker).blend(undescribed(source))


def _sources(worker: Any) -> Sources:
    from orchestrator.inference.engines.sources import Sources

    if not hasattr(worker, "collegium_sources"):
        worker.collegium_sources = Sources(decode=str(worker.device) == "cpu")
    sources: Sources = worker.collegium_sources
    return sources


def _loader(load_config: Any, blend: Blend) -> Any:
    """vLLM's loader: of the checkpoint's files where nothing is to be computed, else of the blend's tensors. vLLM's own
    reads whatever safetensors lie in a folder without an index."""
    from vllm.model_executor.model_loader.default_loader import DefaultModelLoader

    own = {str(file) for file in blend.checkpoint.files}

    class Loader(DefaultModelLoader):  # type: ignore[misc]  # vLLM has no types here
        def _prepare_weights(self, *arguments: Any, **named: Any) -> tuple[str, list[str], bool, str]:
            folder, files, safe, index = super()._prepare_weights(*arguments, **named)
            return folder, [file for file in files if file in own], safe, index

        def get_all_weights(self, model_config: Any, model: Any) -> Iterator[tuple[str, Any]]:
            if not unchanged(blend):
                yield from blend
                return
            configured, model_config.model = model_config.model, str(blend.checkpoint.folder)
            try:
                yield from super().get_all_weights(model_config, model)
            finally:
                model_config.model = configured

        def load_weights(self, model: Any, model_config: Any) -> None:
            weights = unfilled(model)
            super().load_weights(model, model_config)
            left = [path for path, weight in weights.items() if _has_holes(path, weight)]
            # Which experts a prompt meets is chance: no canary would tell.
            if routed := [path for path in left if not path.endswith(PLAIN_WEIGHTS)]:
                raise ValueError(f"the files hold no tensor for a part of {routed[0]!r}")
            # Some are never used (shared keys and values): whether one is, the canary tells.
            model.collegium_unfilled = [path.removesuffix(".weight") for path in left]

    if load_config.load_format == FORMAT:
        load_config = replace(load_config, load_format="safetensors", model_loader_extra_config={})
    return Loader(load_config)


def unfilled(model: Any) -> dict[str, Any]:
    """The weights, biases and fused experts of the model's layers by name, filled with NaN before their files are read.
    vLLM makes them of memory as it finds it, and does not notice that a file has none for one of them."""
    import torch
    from vllm.model_executor.layers.fused_moe.routed_experts import RoutedExperts
    from vllm.model_executor.layers.linear import LinearBase, UnquantizedLinearMethod
    from vllm.model_executor.layers.vocab_parallel_embedding import VocabParallelEmbedding

    plain_types = (torch.float16, torch.bfloat16, torch.float32)
    found = {}
    for path, layer in model.named_modules():
        if not isinstance(layer, LinearBase | VocabParallelEmbedding | RoutedExperts):
            continue
        whole = isinstance(getattr(layer, "quant_method", None), UnquantizedLinearMethod)  # a router's own numbers too
        for name, weight in layer.named_parameters(recurse=False):
            if not whole and name not in (*EXPERT_WEIGHTS, "weight", "bias"):
                continue
            # No file fills what is wider than the model for a kernel's sake, nor what is made only while it is loaded.
            padded = weight.numel() != getattr(weight, "weight_loader_numel", weight.numel())
            if weight.dtype in plain_types and not weight.is_meta and not padded:
                found[f"{path}.{name}"] = weight.data.fill_(float("nan"))
    return found


def _has_holes(path: str, weight: Any) -> bool:
    """A row is still as `unfilled` left it."""
    column = weight if weight.dim() == 1 or path.endswith("bias") else weight[..., 0]
    return bool(column.isnan().any())


def register_loader() -> None:
    """Let vLLM load a blend: `load_format` `FORMAT`, `model_loader_extra_config` the blend's `described` source, and
    whether its quantised weights are to be decoded."""
    from vllm.model_executor.model_loader import _LOAD_FORMAT_TO_MODEL_LOADER, register_model_loader

    if FORMAT in _LOAD_FORMAT_TO_MODEL_LOADER:
        return

    def loader(load_config: Any) -> Any:
        from orchestrator.inference.engines.sources import Sources

        wanted = load_config.model_loader_extra_config
        blend = Sources(decode=wanted["decode"]).blend(undescribed(wanted))
        return _loader(load_config, blend)

    from vllm.model_executor.model_loader.base_loader import BaseModelLoader

    class Loader(BaseModelLoader):  # type: ignore[misc]  # vLLM has no types here
        def __new__(cls, load_config: Any) -> Any:
            return loader(load_config)

    register_model_loader(FORMAT)(Loader)


def _weights_pool(model_config: Any) -> AbstractContextManager[Any]:
    """Where weights are allocated that a sleeping engine gives back; elsewhere they would stay on the card."""
    from vllm.platforms import current_platform

    if not (model_config.enable_sleep_mode and current_platform.is_cuda_alike()):
        return nullcontext()
    from vllm.device_allocator import get_mem_allocator_instance

    pool: AbstractContextManager[Any] = get_mem_allocator_instance().use_memory_pool(tag="weights")
    return pool


def _scale_caches(layer: Any) -> Iterator[tuple[str, Any]]:
    impl = getattr(layer, "impl", None)
    for key in ("_k_scale_cache", "_v_scale_cache"):
        if getattr(impl, key, None) is not None:
            yield key, getattr(impl, key)
