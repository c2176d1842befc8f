"""Many same-shape experts on one worker, against the two ways without swaps.

    python -m benchmarks.swapping --experts 8

One run, one after the other on the same machine: Collegium; (i) the reference way, a new default `LLM()` an expert
(with a cache of 1 GiB, like the others), without its ten seconds' sleep; (ii) the best way without swaps, a new
in-process eager `LLM()` an expert. Of (i) and (ii) `--measured` experts are measured and the rest extrapolated by
their mean. Greedy, the same prompts everywhere.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import conditions, write_result

PEER = """
import gc, json, sys, time

def main():
    from vllm import LLM, SamplingParams
    spec = json.loads(sys.stdin.read())
    rows = []
    for folder in spec["models"]:
        started = time.perf_counter()
        llm = LLM(model=folder, **spec["arguments"])
        loaded = time.perf_counter()
        chats = [[{"role": "user", "content": prompt}] for prompt in spec["prompts"]]
        replies = llm.chat(chats, SamplingParams(max_tokens=spec["tokens"], temperature=0), use_tqdm=False)
        answered = time.perf_counter()
        tokens = sum(len(reply.outputs[0].token_ids) for reply in replies)
        llm.llm_engine.engine_core.shutdown()
        del llm, replies
        gc.collect()
        rows.append({"load": loaded - started, "generate": answered - loaded,
                     "unload": time.perf_counter() - answered, "tokens": tokens})
    print("ROWS " + json.dumps(rows))

if __name__ == "__main__":  # vLLM's default starts a process that imports this file
    main()
"""


def make_adapters(folder: Path, count: int) -> list[Path]:
    """Random LoRA adapters (rank 8, all linear layers) so small that replies stay sensible."""
    from orchestrator.experts.demo import FULL, locate

    return make_adapters_over(locate(FULL), folder, count)


def make_adapters_over(model: Path, folder: Path, count: int, scale: float = 0.02) -> list[Path]:
    """The same over any model with projections by Llama's names."""
    import torch
    from safetensors.torch import save_file

    from merging.checkpoint import Checkpoint

    base = Checkpoint(model)
    linear = [name for name, info in base.tensors.items() if "_proj" in name and len(info.shape) == 2]
    made = []
    for number in range(count):
        generator = torch.Generator().manual_seed(number)
        tensors = {}
        for name in linear:
            rows, columns = base.tensors[name].shape
            module = f"base_model.model.{name.removesuffix('.weight')}"
            tensors[f"{module}.lora_A.weight"] = torch.randn(8, columns, generator=generator).bfloat16() * scale
            tensors[f"{module}.lora_B.weight"] = torch.randn(rows, 8, generator=generator).bfloat16() * scale
        target = folder / f"adapter-{number}"
        target.mkdir()
        save_file(tensors, target / "adapter_model.safetensors")
        modules = sorted({name.split(".")[-2] for name in linear})
        config = {"peft_type": "LORA", "r": 8, "lora_alpha": 8, "target_modules": modules}
        (target / "adapter_config.json").write_text(json.dumps(config))
        made.append(target)
    return made


def merged_checkpoints(folder: Path, adapters: list[Path]) -> list[str]:
    """The same experts as whole checkpoints, as engines without swaps need them."""
    import shutil

    from safetensors.torch import save_file

    from merging.adapter import Adapter
    from merging.checkpoint import Checkpoint
    from merging.stream import plain
    from orchestrator.experts.demo import FULL, locate

    base = Checkpoint(locate(FULL))
    made = []
    for adapter in adapters:
        target = folder / f"merged-{adapter.name}"
        target.mkdir()
        for file in base.folder.iterdir():
            if file.suffix != ".safetensors":
                shutil.copy(file, target)
        save_file(dict(plain((base, Adapter(adapter, base)))), target / "model.safetensors", metadata={"format": "pt"})
        made.append(str(target))
    return made


def prompts(count: int) -> list[str]:
    things = ("a lighthouse", "a violin", "the sea", "a train", "an old map", "bread", "a bridge", "snow")
    return [f"Write a long story about {things[n % len(things)]} and the number {n}." for n in range(count)]


def ours(folder: Path, adapters: list[Path], asked: list[str], tokens: int) -> dict[str, Any]:
    """Through the whole product: coroutines, scheduler, Ray actor, ledger."""
    started = time.perf_counter()
    from orchestrator import Collegium

    experts = {path.name: {"model": "demo/SmolLM2-135M-Instruct", "adapter": str(path)} for path in adapters}
    with Collegium({"experts": experts, "state": str(folder / "state")}) as collegium:
        names = experts.keys()
        chats = [collegium.chat(name, max_tokens=tokens) for name in names]

        async def everything() -> None:
            await asyncio.gather(*(chat.ainvoke(prompt) for prompt in asked for chat in chats))

        asyncio.run(everything())
        wall = time.perf_counter() - started
        stays = copy.deepcopy(collegium.pool.timeline.stays)
        back = returning(collegium, list(names)[-4:], tokens)
    first, rest = stays[0], stays[1:]
    after = stays[-1].end - first.load_end
    busy = sum(stay.busy for stay in stays)
    return {
        "wall": wall,
        "loads": len(stays),
        "start": first.load_end,
        "after_first_load": after,
        "generating": busy,
        "not_generating": after - busy,
        "share_generating": busy / after,
        "tokens": sum(stay.tokens for stay in stays),
        "swap_median": statistics.median(stay.load_seconds for stay in rest),
        "swap_worst": max(stay.load_seconds for stay in rest),
        "ways": sorted({stay.way for stay in rest}),
        "returning_median": statistics.median(back),
    }


def returning(collegium: Any, names: list[str], tokens: int) -> list[float]:
    """Seconds of each swap to an expert whose ready-made matrices may still be kept: four take turns, three times."""
    known = len(collegium.pool.timeline.stays)
    for turn in range(3):
        for name in names:
            asyncio.run(collegium.chat(name, max_tokens=tokens).ainvoke(f"Say {turn} words."))
    stays = collegium.pool.timeline.stays[known:]
    return [stay.load_seconds for stay in stays[len(names) :]]  # the first turn keeps what was not kept


def peer(models: list[str], asked: list[str], tokens: int, experts: int, in_process: bool) -> dict[str, Any]:
    """A new engine an expert, measured for `models`, extrapolated to `experts`."""
    import os

    # Its default, 92% of the machine's memory, is refused unless that much is free: the same cache for all three.
    arguments: dict[str, Any] = {"kv_cache_memory_bytes": 2**30}
    if in_process:
        arguments |= {"enforce_eager": True, "max_model_len": 2048}
    spec = {"models": models, "prompts": asked, "tokens": tokens, "arguments": arguments}
    environment = {**os.environ, "VLLM_LOGGING_LEVEL": "ERROR", "HF_HUB_OFFLINE": "1"}
    environment["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0" if in_process else "1"
    started = time.perf_counter()
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(PEER)
        script.flush()
        command = [sys.executable, script.name]
        done = subprocess.run(
            command, input=json.dumps(spec), capture_output=True, text=True, env=environment, check=False
        )
    if done.returncode:
        raise RuntimeError(f"the peer failed:\n{done.stderr[-2000:]}")
    wall = time.perf_counter() - started
    rows = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("ROWS "))[5:])
    outside = wall - sum(row["load"] + row["generate"] + row["unload"] for row in rows)
    later = rows[1:] or rows
    switch = statistics.mean(row["load"] + row["unload"] for row in later)
    generate = statistics.mean(row["generate"] for row in rows)
    first = rows[0]["load"] + rows[0]["unload"]
    return {
        "measured": rows,
        "import": outside,
        "switch_mean": switch,
        "tokens_per_second": sum(row["tokens"] for row in rows) / sum(row["generate"] for row in rows),
        "not_generating": switch * (experts - 1),
        "after_first_load": switch * (experts - 1) + generate * experts,
        "wall": outside + first + switch * (experts - 1) + generate * experts,
    }


def warm_read(paths: list[Path]) -> float:
    """Median seconds to read the files once, warm, into memory."""
    seconds = []
    for _ in range(7):
        started = time.perf_counter()
        for path in paths:
            path.read_bytes()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experts", type=int, default=8)
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--measured", type=int, default=3, help="experts measured of each peer; 0: no peers")
    given = parser.parse_args()
    from orchestrator.experts.demo import FULL, locate

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        adapters = make_adapters(folder, given.experts)
        asked = prompts(given.questions)
        base = locate(FULL) / "model.safetensors"
        read = warm_read([base])
        read_adapter = warm_read([adapters[0] / "adapter_model.safetensors"])
        result: dict[str, Any] = {"arguments": vars(given), "conditions": conditions()}
        result["collegium"] = own = ours(folder, adapters, asked, given.tokens)
        result["warm_read"] = {"base": read, "adapter": read_adapter}
        rows = [
            ("generating, share of the time after the first load", f"{own['share_generating']:.1%}", "at least 96%"),
            ("reading the base and an adapter from memory", f"{read + read_adapter:.3f} s", ""),
            ("swap, median", f"{own['swap_median']:.3f} s", f"at most {1.3 * (read + read_adapter):.3f} s"),
            ("swap to an expert that comes back, median", f"{own['returning_median']:.3f} s", "at most 0.15 s"),
            ("swap, worst", f"{own['swap_worst']:.3f} s", ""),
            ("wall after the first load", f"{own['after_first_load']:.1f} s", ""),
            ("loads", str(own["loads"]), str(given.experts)),
            ("tokens/s while generating", f"{own['tokens'] / own['generating']:.0f}", ""),
        ]
        title = f"Swapping: {given.experts} experts on one worker"
        name = f"swapping_{given.experts}" + ("" if given.measured else "_alone")
        write_result(name, title, rows, result)
        if given.measured:
            models = merged_checkpoints(folder, adapters[: given.measured])
            for label, in_process, idle, wall in (("(i)", False, 40, 4.0), ("(ii)", True, 10, 1.6)):
                found = peer(models, asked, given.tokens, given.experts, in_process)
                result[label] = found
                rows += [
                    (f"{label} switch, mean", f"{found['switch_mean']:.1f} s", ""),
                    (f"{label} tokens/s while generating", f"{found['tokens_per_second']:.0f}", ""),
                    (f"{label} wall after the first load", f"{found['after_first_load']:.1f} s", "extrapolated"),
                    (
                        f"{label} not generating / ours",
                        f"{found['not_generating'] / own['not_generating']:.1f}",
                        f"at least {idle}",
                    ),
                    (
                        f"{label} wall after the first load / ours",
                        f"{found['after_first_load'] / own['after_first_load']:.2f}",
                        f"at least {wall}",
                    ),
                    (f"{label} wall with start and first load / ours", f"{found['wall'] / own['wall']:.2f}", ""),
                ]
                write_result(name, title, rows, result)


if __name__ == "__main__":
    main()
