"""Many random swaps between experts of many shapes on one worker: python -m benchmarks.random_swaps [--swaps 2000]
[--state FOLDER] [--seconds N]

Twelve shapes (dense, tied, mixtures of experts, quantised, transposed, recurrent), two experts of each, adapters and
merges among them. Each expert's canary is taken first in an engine of its own that holds nothing else; then one engine
swaps at random, and after every swap its canary must be that one. After every `--evict` swaps the shape that was not
used for longest is closed, so that starts are among the swaps. Memory is noted along the way.

With `--state` the canaries and one line per swap are kept, and a later call goes on where the last one was cut short:
in a new process, whose memory is noted apart (the models are drawn anew, the same). `--seconds` ends a call early. The
table is written after every tenth of the swaps.

Results: benchmarks/results/random_swaps.md.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import random
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
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


def canaries(experts: list[Any], kept: Path, until: float) -> dict[str, Any]:
    """Each expert's, in an engine that never held another; those that lie in the folder are not computed again."""
    found: dict[str, Any] = {}
    for expert in experts:
        file = kept / f"{expert.name}.canary.json"
        if not file.exists():
            if time.monotonic() > until:
                break
            engine = new_engine(1)
            engine.load(expert)
            file.with_suffix(".part").write_text(json.dumps(engine.canary()))
            file.with_suffix(".part").replace(file)
            engine.close()
            print("alone", expert.name, flush=True)
        found[expert.name] = json.loads(file.read_text())
    return found


def wander(experts: Sequence[Any], truth: dict[str, Any], given: argparse.Namespace, kept: Path, until: float) -> Any:
    """Random swaps on one engine, one line per swap: which expert, by which way, in how many seconds, the process's
    memory in MiB, and what it answered otherwise. Yields after every tenth and at the end."""
    import psutil

    from orchestrator.inference.engines.canary import difference

    engine, process = new_engine(64), psutil.Process()
    tenth = max(1, given.swaps // 10)
    first = len(read(kept))
    with kept.open("a") as lines:
        for number in range(first, given.swaps):
            if time.monotonic() > until:
                break
            expert = random.Random(f"{given.seed} {number}").choice(experts)
            if given.evict and number % given.evict == given.evict - 1 and engine._shapes:
                engine._shapes.popitem(last=False)[1].close()
            row: dict[str, Any] = {"swap": number, "process": first, "expert": expert.name, "shape": expert.shape}
            began = time.perf_counter()
            try:
                row["way"] = engine.load(expert).way
                row["seconds"] = round(time.perf_counter() - began, 4)
                row["wrong"] = difference(truth[expert.name], engine.canary(), TOLERANCE)
            except Exception as error:
                row |= {"way": "failed", "wrong": f"{type(error).__name__}: {error}"}
            if number % tenth == tenth - 1:
                gc.collect()
                row["mib"] = round(process.memory_info().rss / 2**20)
            lines.write(json.dumps(row) + "\n")
            lines.flush()
            if "mib" in row:
                yield
    engine.close()
    yield


def read(kept: Path) -> list[dict[str, Any]]:
    """The rows; a line that was being written when its process ended is taken out of the file."""
    whole = kept.read_text().rpartition("\n")[0] if kept.exists() else ""
    kept.write_text(whole + "\n" if whole else "")
    return [json.loads(line) for line in whole.splitlines()]


def write(rows: Sequence[dict[str, Any]], experts: Sequence[Any], given: argparse.Namespace, noted: Any) -> None:
    """The table of all swaps that there are."""
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    memory: dict[int, list[str]] = defaultdict(list)
    for row in rows:
        if "seconds" in row:
            seconds[row["shape"], row["way"]].append(row["seconds"])
        if "mib" in row:
            memory[row["process"]].append(str(row["mib"]))
    wrong = [f"swap {row['swap']}: {row['expert']} by {row['way']}: {row['wrong']}" for row in rows if row["wrong"]]
    failed = sum(row["way"] == "failed" for row in rows)
    table = [
        ("experts, shapes", f"{len(experts)}, {len({one.shape for one in experts})}", "12 shapes"),
        ("swaps", f"{len(rows)}", "2000"),
        ("swaps that were refused or failed", str(failed), "0"),
        ("canaries unlike those of an engine of one's own", str(len(wrong) - failed), "0"),
        (
            "memory after each tenth, MiB, by process",
            " / ".join(", ".join(each) for each in memory.values()),
            "no growth",
        ),
    ]
    for (shape, way), each in sorted(seconds.items()):
        table.append((f"{shape}, {way}", f"{len(each)} times, median {statistics.median(each):.3f} s", ""))
    result = {"arguments": {**vars(given), "state": None}, "conditions": noted, "swaps": rows}
    note = "\n".join(f"- {line}" for line in wrong)
    write_result("random_swaps", f"{len(rows)} random swaps on one worker", table, result, note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swaps", type=int, default=2000)
    parser.add_argument("--evict", type=int, default=100, help="Swaps after which a shape is closed; 0: never.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--state", type=Path, help="Folder to keep canaries and swaps in.")
    parser.add_argument("--seconds", type=float, default=math.inf, help="Begin no further swap after that.")
    given = parser.parse_args()
    noted, until = conditions(), time.monotonic() + given.seconds
    with tempfile.TemporaryDirectory() as temporary:
        folder, zoo = given.state or Path(temporary), Path(temporary) / "zoo"
        folder.mkdir(parents=True, exist_ok=True)
        zoo.mkdir()
        experts = make_zoo(zoo)
        truth = canaries(experts, folder, until)
        if len(truth) < len(experts):
            raise SystemExit(f"{len(truth)} of {len(experts)} canaries so far: call it again")
        for _ in wander(experts, truth, given, folder / "swaps.jsonl", until):
            write(read(folder / "swaps.jsonl"), experts, given, noted)


if __name__ == "__main__":
    main()
