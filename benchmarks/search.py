"""What a search's trial costs: the merge in memory, the evaluation, what is written to disk, and whether it is exact.

    python -m benchmarks.search

Candidates are task-arithmetic merges of the demo zoo's experts of the full shape, each asked 16 questions in one vLLM
engine. The same merges are then written by `collegium merge`'s library, loaded from disk into the same engine and
asked the same. The peer is what users of mergekit do: write the merge, start a fresh engine on it, ask; for its merge
the time of mergekit is taken if `--mergekit` names its command (it is given the experts as whole checkpoints, so that
it need not add adapters first), else our own, faster one.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from agents.prompts import solve
from agents.question import Question
from benchmarks.machine import conditions, write_result
from merging.merge import merge
from merging.recipe_file import parse
from merging.search import Candidate
from orchestrator.config import Config, ExpertConfig, demo_zoo, read
from orchestrator.evaluation.context import Context
from orchestrator.evaluation.tasks import load
from orchestrator.experts.zoo import resolve
from orchestrator.inference.engines.vllm import VLLMEngine
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Request, Sampling, request_key
from orchestrator.pipelines.merges import Merges

SOURCES = ("arithmetic", "letters", "calendar", "tracker", "logic")
SAMPLING = Sampling(max_tokens=48, logprobs=1)


def answers(engine: VLLMEngine, expert: Expert, questions: list[Question]) -> list[tuple[str, tuple[Any, ...]]]:
    """(text, log-probabilities) of each question's reply."""
    parts: dict[str, list[Any]] = {}
    for question in questions:
        messages = tuple((message["role"], message["content"]) for message in solve(question))
        request = Request(request_key(expert.fingerprint, messages, SAMPLING), expert.name, messages, SAMPLING)
        parts[request.key] = []
        engine.add(request, expert)
    left = set(parts)
    while left:
        for delta in engine.step():
            parts[delta.key].append(delta)
            if delta.last:
                left.discard(delta.key)
    return [
        ("".join(one.text for one in deltas), tuple(token.logprob for one in deltas for token in one.logprobs))
        for deltas in parts.values()
    ]


def written() -> int:
    """Bytes that this process has written to storage."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def in_memory(engine: VLLMEngine, expert: Expert) -> float:
    """Seconds to compute every tensor of the merge, a thread a core, to nowhere."""
    blend = engine.sources.blend(expert)
    began = time.perf_counter()
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(lambda name: blend.tensor(name).numel(), blend.names):
            pass
    return time.perf_counter() - began


def alone(config: Config, name: str, entry: ExpertConfig) -> Expert:
    return resolve(config.model_copy(update={"experts": {name: entry}}))[name]


def fresh_engine(folder: Path, state: Path) -> float:
    """Seconds for a new process to start vLLM on a checkpoint and ask it; the peer's way."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "benchmarks.search", "--one", str(folder), "--state", str(state)], check=True)
    return time.perf_counter() - began


def by_mergekit(command: str, raw: dict[str, Any], folder: Path) -> float:
    """Seconds that mergekit takes for a merge of whole checkpoints, which are written first if they are not there."""

    def whole(model: dict[str, Any]) -> str:
        if "lora" not in model:
            return str(model["model"]["path"])
        out = folder / "whole" / Path(model["lora"]["path"]).name
        if not out.exists():
            merge(parse({"merge_method": "linear", "models": [{"model": model, "parameters": {"weight": 1}}]}), out)
        return str(out)

    models = [{**one, "model": whole(one["model"])} for one in raw["models"]]
    file, out = folder / "recipe.yaml", folder / "by-mergekit"
    recipe = {**raw, "models": models, "base_model": whole(raw["base_model"]), "dtype": "bfloat16"}
    file.write_text(yaml.safe_dump(recipe))
    began = time.perf_counter()
    subprocess.run([command, str(file), str(out)], check=True, capture_output=True)
    took = time.perf_counter() - began
    shutil.rmtree(out)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--mergekit", help="mergekit-yaml's path")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--state", help=argparse.SUPPRESS)
    given = parser.parse_args()
    questions = load("mixed", "validation", 16, 0)
    config = read(demo_zoo())
    if given.one:
        expert = alone(config.model_copy(update={"state": given.state}), "m", ExpertConfig(model=given.one))
        engine = VLLMEngine()
        engine.load(expert)
        answers(engine, expert, questions)
        engine.close()
        return
    noted = conditions()
    with tempfile.TemporaryDirectory() as folder:
        config = config.model_copy(update={"state": folder})
        nowhere: Any = None
        context = Context(config, nowhere, nowhere, nowhere)
        base = config.experts[SOURCES[0]].model
        merges = Merges("c", SOURCES, "task_arithmetic", base, 30, context, questions, SAMPLING, 0)
        drawn = random.Random(0)
        candidates = [Candidate((tuple(round(drawn.random(), 3) for _ in SOURCES),)) for _ in range(given.candidates)]
        engine = VLLMEngine()
        engine.load(resolve(config)["base"])
        rows: list[tuple[float, float]] = []
        results = {}
        before = written()
        for candidate in candidates:
            expert = merges.expert(candidate)
            began = time.perf_counter()
            engine.load(expert)
            loaded = time.perf_counter()
            results[candidate] = answers(engine, expert, questions)
            rows.append((loaded - began, time.perf_counter() - loaded))
            print(f"trial {len(rows)}: {rows[-1][0]:.2f} s and {rows[-1][1]:.2f} s", flush=True)
        bytes_written = written() - before
        merging = [in_memory(engine, merges.expert(candidate)) for candidate in candidates[:4]]
        equal, peers = 0, []
        for number, candidate in enumerate(candidates[:3]):
            recipe = merges.expert(candidate).recipe
            assert recipe is not None
            out = Path(folder) / f"merged-{number}"
            began = time.perf_counter()
            merge(parse(recipe.raw()).seeded(recipe.seed), out)
            merged = time.perf_counter() - began
            disk = alone(config, f"disk-{number}", ExpertConfig(model=str(out)))
            engine.load(disk)
            equal += answers(engine, disk, questions) == results[candidate]
            if number < 2:
                merged = by_mergekit(given.mergekit, recipe.raw(), Path(folder)) if given.mergekit else merged
                peers.append((merged, fresh_engine(out, Path(folder))))
            print(f"merge {number}: {merged:.1f} s", flush=True)
        engine.close()
    swap = statistics.median(row[0] for row in rows)
    asking = statistics.median(row[1] for row in rows)
    per_hour, peer_per_hour = 3600 / (swap + asking), 3600 / statistics.median(sum(peer) for peer in peers)
    peer = "mergekit" if given.mergekit else "our own merge to disk"
    table = [
        ("a trial: merge into the live weights, canary included", f"{swap:.2f} s", ""),
        ("a trial: 16 questions", f"{asking:.2f} s", ""),
        ("one merge in memory", f"{statistics.median(merging):.2f} s", "the trial's merge takes at most that"),
        ("written to disk during all trials", f"{bytes_written / 1e6:.1f} MB", "no weights (269 MB each)"),
        ("tokens and log-probabilities equal to the merge from disk", f"{equal} of {min(3, len(candidates))}", "all"),
        ("trials an hour", f"{per_hour:,.0f}", ""),
        (f"{peer}: a merge", f"{statistics.median(one for one, _ in peers):.1f} s", ""),
        ("a fresh engine on it, with 16 questions", f"{statistics.median(one for _, one in peers):.1f} s", ""),
        (f"{peer} and a fresh engine: trials an hour", f"{peer_per_hour:,.0f}", ""),
        ("ratio", f"{per_hour / peer_per_hour:.1f}x", "at least 10x"),
    ]
    write_result(
        "search", "A search's trial", table, {"conditions": noted, "trials": rows, "merging": merging, "peers": peers}
    )


if __name__ == "__main__":
    main()
