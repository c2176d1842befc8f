"""What the layers cost: ExpertChat, scheduler, Ray actor and ledger against bare in-process vLLM.

    python -m benchmarks.overhead

Both engines stay up, with the same settings; each of `--pairs` rounds gives both the same fresh prompts, in turn.
The ratio is the median over rounds of (our tokens a second / bare tokens a second).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks.machine import conditions, write_result

BARE = """
import json, sys, time
from vllm import LLM, SamplingParams
spec = json.loads(sys.stdin.readline())
llm = LLM(model=spec["model"], **spec["arguments"])
print("READY", flush=True)
for line in sys.stdin:
    chats = [[{"role": "user", "content": prompt}] for prompt in json.loads(line)]
    started = time.perf_counter()
    replies = llm.chat(chats, SamplingParams(max_tokens=spec["tokens"], temperature=0), use_tqdm=False)
    seconds = time.perf_counter() - started
    tokens = sum(len(reply.outputs[0].token_ids) for reply in replies)
    print("ROW " + json.dumps({"seconds": seconds, "tokens": tokens}), flush=True)
"""


CACHE: dict[str, Any] = {"kv_cache_memory_bytes": 2**30}
"""vLLM's default, 92% of the machine's memory, is refused unless that much is free."""
SAME: dict[str, Any] = {
    **CACHE,
    "max_model_len": 2048,
    "max_num_seqs": 64,
    "max_num_batched_tokens": 2048,
    "enable_prefix_caching": True,
    "enable_chunked_prefill": False,
    "enforce_eager": True,
}
"""What our engine asks of vLLM on a CPU (see `EngineOptions`)."""


class Bare:
    """vLLM in a process of its own, with the same number of threads, without anything around it."""

    def __init__(self, model: str, tokens: int, arguments: dict[str, Any], threads: int) -> None:
        environment = {**os.environ, "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
        environment |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(threads)}
        self._process = subprocess.Popen(
            [sys.executable, "-c", BARE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self._say({"model": model, "tokens": tokens, "arguments": arguments})
        self._until("READY")

    def run(self, asked: list[str]) -> dict[str, float]:
        self._say(asked)
        row: dict[str, float] = json.loads(self._until("ROW ")[4:])
        return row

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def _say(self, value: object) -> None:
        assert self._process.stdin is not None
        print(json.dumps(value), file=self._process.stdin, flush=True)

    def _until(self, start: str) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(start):
                return line
        raise RuntimeError(f"bare vLLM ended with code {self._process.wait()}")


def prompts(count: int, pair: int) -> list[str]:
    return [f"Write a long story about journey {pair}, chapter {n}." for n in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--defaults", action="store_true", help="also vLLM's own settings, compiled; minutes more")
    given = parser.parse_args()
    from orchestrator import Collegium
    from orchestrator.experts.demo import FULL, locate

    result: dict[str, Any] = {"arguments": vars(given), "conditions": conditions(), "pairs": []}
    with tempfile.TemporaryDirectory() as state:
        config = {"experts": {"base": {"model": FULL}}, "state": state}
        with Collegium(config) as collegium:
            bare = Bare(str(locate(FULL)), given.tokens, SAME, os.cpu_count() or 1)
            chat = collegium.chat("base", max_tokens=given.tokens)

            def ours(asked: list[str]) -> dict[str, float]:
                before = sum(stay.busy for stay in collegium.pool.timeline.stays)
                started = time.perf_counter()

                async def everything() -> int:
                    replies = await asyncio.gather(*(chat.ainvoke(prompt) for prompt in asked))
                    return sum(reply.usage_metadata["output_tokens"] for reply in replies if reply.usage_metadata)

                tokens = asyncio.run(everything())
                seconds = time.perf_counter() - started
                busy = sum(stay.busy for stay in collegium.pool.timeline.stays) - before
                return {"seconds": seconds, "tokens": tokens, "busy": busy}

            ours(prompts(32, -1))
            bare.run(prompts(32, -1))
            for pair in range(given.pairs):
                asked = prompts(given.prompts, pair)
                first, second = (ours, bare.run) if pair % 2 else (bare.run, ours)
                rows = {first: first(asked), second: second(asked)}
                result["pairs"].append({"bare": rows[bare.run], "collegium": rows[ours]})
                print(result["pairs"][-1], flush=True)
            bare.close()
            if given.defaults:
                defaults = Bare(str(locate(FULL)), given.tokens, CACHE, os.cpu_count() or 1)
                defaults.run(prompts(32, -1))
                result["bare, vLLM's own defaults"] = defaults.run(prompts(given.prompts, given.pairs))
                defaults.close()
    speed = {
        name: [pair[name]["tokens"] / pair[name]["seconds"] for pair in result["pairs"]]
        for name in ("bare", "collegium")
    }
    ratios = [own / other for own, other in zip(speed["collegium"], speed["bare"], strict=True)]
    busy = [pair["collegium"]["busy"] / pair["collegium"]["seconds"] for pair in result["pairs"]]
    stepping = [pair["collegium"]["tokens"] / pair["collegium"]["busy"] for pair in result["pairs"]]
    rows = [
        ("bare vLLM, tokens/s, median", f"{statistics.median(speed['bare']):.0f}", ""),
        ("Collegium, tokens/s, median", f"{statistics.median(speed['collegium']):.0f}", ""),
        ("ratio, median of pairs", f"{statistics.median(ratios):.3f}", "at least 0.88, aim 0.97"),
        ("ratio, range", f"{min(ratios):.3f} to {max(ratios):.3f}", ""),
        ("engine busy, share of the wall time, median", f"{statistics.median(busy):.1%}", "at least 95%"),
        ("Collegium, tokens/s inside engine steps", f"{statistics.median(stepping):.0f}", ""),
    ]
    if row := result.get("bare, vLLM's own defaults"):
        rows.append(
            ("bare vLLM, its own settings, compiled, once", f"{row['tokens'] / row['seconds']:.0f} tokens/s", "")
        )
    write_result("overhead", f"Overhead: {given.prompts} prompts x {given.tokens} tokens", rows, result)


if __name__ == "__main__":
    main()
