"""What a swap costs, and where the time goes: python -m benchmarks.engine_swap [--experts 4] [--out FILE]

Adapter experts over SmolLM2-135M-Instruct in the vLLM engine, against the warm read of the base's file plus the
adapter's: the plain `read()` of a Python program, and the same into a small buffer that stays in cache (what the
disk cache itself gives). Each number is the median of the swaps after the first round. Tokens per second are those
of one full batch, greedy, prompts of about 40 tokens.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from merging.checkpoint import Checkpoint
from orchestrator.experts.demo import FULL, locate
from orchestrator.inference.engines import vllm_weights
from orchestrator.inference.engines.engine import EngineOptions
from orchestrator.inference.engines.vllm import VLLMEngine
from orchestrator.inference.expert import Expert, Weights
from orchestrator.inference.request import Request, Sampling, request_key


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experts", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=256)
    parser.add_argument("--kept-gib", type=float, default=EngineOptions().kept_gib)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(given, Path(folder))
    print(json.dumps(result, indent=1))
    if given.out:
        given.out.write_text(json.dumps(result, indent=1) + "\n")


def measure(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    base = locate(FULL)
    experts = [
        Expert(
            f"e{number}", f"e{number}", "smollm2", weights=Weights(base, adapter(folder / f"e{number}", base, number))
        )
        for number in range(given.experts)
    ]
    files = [base / "model.safetensors", folder / "e0" / "adapter_model.safetensors"]
    spent: dict[str, float] = defaultdict(float)
    engine = VLLMEngine(EngineOptions(kept_gib=given.kept_gib))
    start = engine.load(experts[0]).seconds
    instrument(engine, spent)
    swaps: list[dict[str, float]] = []
    for turn in range(given.rounds):
        for expert in experts if turn else experts[1:]:
            spent.clear()
            seconds = engine.load(expert).seconds
            swaps.append({"total": seconds, **spent, "round": turn})
    reads = {"read": best(lambda: plain_read(files)), "read_into_cache": best(lambda: small_reads(files))}
    speed = tokens_per_second(engine, experts[-1], given.requests)
    engine.close()
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "load_average": os.getloadavg()[0],
        "start_seconds": start,
        "warm_read_seconds": reads,
        "first_round": medians([swap for swap in swaps if not swap["round"]]),
        "later_rounds": medians([swap for swap in swaps if swap["round"]]),
        "tokens_per_second": speed,
    }


def instrument(engine: VLLMEngine, spent: dict[str, float]) -> None:
    """Add up the parts of a swap. Weights are written by several threads: their parts are thread-seconds."""

    def timed(name: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        def outer(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return inner(*arguments, **named)
            finally:
                spent[name] += time.perf_counter() - began

        return outer

    live: Any = vllm_weights.LiveWeights
    live.become = timed("weights", live.become)
    live._pack = timed("of which pack (thread-s)", live._pack)
    vllm_weights._write = timed("of which compute (thread-s)", vllm_weights._write)
    patched: Any = engine
    patched._canary = timed("canary", engine._canary)
    patched._check = timed("check", engine._check)
    engine.sources.blend = timed("open", engine.sources.blend)  # type: ignore[method-assign]


def adapter(folder: Path, base: Path, seed: int) -> Path:
    """A random rank-8 adapter on all linear layers, bf16."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, info in Checkpoint(base).tensors.items():
        if name.endswith("_proj.weight"):
            module = f"base_model.model.{name.removesuffix('.weight')}"
            for part, shape in (("A", (8, info.shape[1])), ("B", (info.shape[0], 8))):
                drawn = 0.03 * torch.randn(shape, generator=generator)
                tensors[f"{module}.lora_{part}.weight"] = drawn.to(torch.bfloat16)
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def plain_read(files: list[Path]) -> None:
    for file in files:
        with file.open("rb", buffering=0) as stream:
            stream.read()


def small_reads(files: list[Path]) -> None:
    buffer = bytearray(1 << 20)
    for file in files:
        with file.open("rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass


def best(action: Callable[[], None], times: int = 5) -> float:
    """Median seconds, after one run that warms up."""
    action()
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def medians(swaps: list[dict[str, float]]) -> dict[str, float]:
    names = {name for swap in swaps for name in swap} - {"round"}
    return {name: statistics.median(swap.get(name, 0.0) for swap in swaps) for name in sorted(names)}


def tokens_per_second(engine: VLLMEngine, expert: Expert, count: int) -> float:
    sampling = Sampling(max_tokens=64)
    waiting = []
    for number in range(count):
        text = (
            f"Question {number}: a farmer has {number} sheep, buys {number * 3} more and sells {number // 2}. Explain."
        )
        messages = (("user", text),)
        waiting.append(Request(request_key(expert.fingerprint, messages, sampling, 0), expert.name, messages, sampling))
    running = tokens = 0
    began = time.perf_counter()
    while waiting or running:
        while waiting and running < engine.capacity:
            engine.add(waiting.pop(), expert)
            running += 1
        for delta in engine.step():
            tokens += delta.tokens
            running -= delta.last
    return tokens / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
