"""Many random swaps between experts of many shapes on one worker: python -m benchmarks.random_swaps [--swaps 2000]

Twelve shapes (dense, tied, mixtures of experts, quantised, transposed, recurrent), two experts of each, adapters and
merges among them. Each expert's canary is taken first in an engine of its own that holds nothing else; then one engine
swaps at random, and after every swap its canary must be that one. After every `--evict` swaps the shape that was not
used for longest is closed, so that starts are among the swaps. Memory is noted along the way.

Results: benchmarks/results/random_swaps.md.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.machine import conditions, write_result

SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "dense": ("llama", {"tie_word_embeddings": False}),
    "tied": ("llama", {"tie_word_embeddings": True}),
    "tied-odd-vocabulary": ("llama", {"tie_word_embeddings": True, "vocab_size": 49_153}),
    "qwen3": ("qwen3", {}),
    "gemma2": ("gemma2", {}),
    "olmo2": ("olmo2", {}),
    "phi3": ("phi3", {}),
    "mixture": ("mixtral", {}),
    "mixture-shared": ("granitemoeshared", {}),
    "transposed": ("gpt2", {}),
    "recurrent": ("mamba2", {}),
}
QUANTISED = "tied-awq"
TOLERANCE = 0.005


def make_zoo(folder: Path) -> list[Any]:
    """Two experts of each shape; adapters and a merge over the tied one; the quantised form of the tied one."""
    from benchmarks.swapping import make_adapters_over
    from benchmarks.tiny_architectures import make
    from orchestrator.experts.demo import FULL, locate
    from orchestrator.inference.expert import Expert, ExpertRecipe, Weights
    from tests.orchestrator.inference.engines.quantised import quantised

    experts = []
    for shape, (kind, over) in SHAPES.items():
        made = make(kind, locate(FULL), folder / shape, over=over)
        experts += [Expert(f"{shape}-{n}", f"{shape}-{n}", shape, weights=Weights(one)) for n, one in enumerate(made)]
    tied = [one.weights for one in experts if one.shape == "tied"]
    for number, adapter in enumerate(make_adapters_over(tied[0].model, folder, 2, scale=0.2)):
        weights = Weights(tied[0].model, adapter)
        experts.append(Expert(f"adapter-{number}", f"adapter-{number}", "tied", weights=weights))
    recipe = ExpertRecipe("linear", tuple(tied), (0.5, 0.5))
    experts.append(Expert("merge", "merge", "tied", recipe=recipe))
    recipe = ExpertRecipe("task_arithmetic", (tied[1],), (0.7,), tied[0])
    experts.append(Expert("arithmetic", "arithmetic", "tied", recipe=recipe))
    for number, weights in enumerate(tied):
        packed = quantised(weights.model, folder / f"{QUANTISED}-{number}", "awq")
        experts.append(Expert(packed.name, packed.name, QUANTISED, weights=Weights(packed)))
    return experts


def new_engine(memory_gib: float) -> Any:
    from orchestrator.inference.engines.engine import EngineOptions
    from orchestrator.inference.engines.vllm import VLLMEngine

    return VLLMEngine(EngineOptions(batch=4, kv_gib=0.05, context=256, memory_gib=memory_gib, kept_gib=0.05))


def canaries(experts: list[Any]) -> dict[str, Any]:
    """Each expert's, in an engine that never held another."""
    found = {}
    for expert in experts:
        engine = new_engine(1)
        engine.load(expert)
        found[expert.name] = engine.canary()
        engine.close()
        print("alone", expert.name, flush=True)
    return found


def wander(experts: list[Any], truth: dict[str, Any], swaps: int, evict: int, seed: int) -> dict[str, Any]:
    """Random swaps on one engine: ways, seconds, memory in MiB, and what answered otherwise."""
    import psutil

    from orchestrator.inference.engines.canary import difference

    engine, chooser, process = new_engine(64), random.Random(seed), psutil.Process()
    seconds: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    wrong, memory = [], []
    tenth = max(1, swaps // 10)
    for number in range(swaps):
        expert = chooser.choice(experts)
        if evict and number % evict == evict - 1:
            engine._shapes.popitem(last=False)[1].close()
        began = time.perf_counter()
        try:
            way = engine.load(expert).way
        except Exception as error:
            wrong.append(f"swap {number}: {expert.name}: {error}")
            continue
        seconds[expert.shape][way].append(time.perf_counter() - began)
        if why := difference(truth[expert.name], engine.canary(), TOLERANCE):
            wrong.append(f"swap {number}: {expert.name} by {way}: {why}")
        if number % tenth == tenth - 1:
            gc.collect()
            memory.append(round(process.memory_info().rss / 2**20))
            print(f"{number + 1} swaps, {memory[-1]} MiB, {len(wrong)} wrong", flush=True)
    engine.close()
    return {"seconds": seconds, "wrong": wrong, "memory": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swaps", type=int, default=2000)
    parser.add_argument("--evict", type=int, default=100, help="Swaps after which a shape is closed; 0: never.")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    noted = conditions()
    with tempfile.TemporaryDirectory() as name:
        experts = make_zoo(Path(name))
        truth = canaries(experts)
        began = time.perf_counter()
        found = wander(experts, truth, given.swaps, given.evict, given.seed)
        wall = time.perf_counter() - began
    rows = [
        ("experts, shapes", f"{len(experts)}, {len({one.shape for one in experts})}", "12 shapes"),
        ("swaps", f"{given.swaps} in {wall:.0f} s", "2000"),
        ("canaries unlike those of an engine of one's own", str(len(found["wrong"])), "0"),
        ("memory after each tenth, MiB", ", ".join(map(str, found["memory"])), "no growth"),
    ]
    for shape, ways in sorted(found["seconds"].items()):
        for way, each in sorted(ways.items()):
            rows.append((f"{shape}, {way}", f"{len(each)} times, median {statistics.median(each):.3f} s", ""))
    note = "\n".join(f"- {line}" for line in found["wrong"])
    result = {"arguments": vars(given), "conditions": noted, "wrong": found["wrong"], "memory": found["memory"]}
    write_result("random_swaps", f"{given.swaps} random swaps on one worker", rows, result, note)


if __name__ == "__main__":
    main()
