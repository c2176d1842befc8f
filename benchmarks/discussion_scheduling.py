"""Three experts of one shape confer for up to three rounds on one worker, against the reference's way of doing it.

    python -m benchmarks.discussion_scheduling [--questions 500] [--reference-questions 8] [--state F --seconds S]

Ours: ReConcile over all questions at once, weights swapped in place. The reference's way: question by question, agent
by agent, the very same prompts, one request at a time, with three resident engines and no swaps: what that costs is
measured with one resident expert who plays all three, in a process of its own, on the first few questions.

Convincing samples stand at the beginning of prompts and are long enough for the prefix cache's blocks: what it finds
then is measured on fewer questions, the samples being found before.

With --state and --seconds it stops after so long, and goes on when it is called again: the parts' times are added up.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from agents import transcript as transcripts
from benchmarks.machine import RESULTS, conditions, write_result
from orchestrator import Collegium
from orchestrator.config import demo_zoo
from orchestrator.evaluation.answer import RunResult
from orchestrator.evaluation.convincing import ConvincingRequest, convincing, write_samples

PANEL = ("arithmetic", "calendar", "letters")
TASKS = "arithmetic,dates,last_letters"
ROUNDS = 2
TOKENS = 96
SAMPLED = 60
"""Questions discussed with convincing samples."""
KEPT = RESULTS / "discussion_scheduling.json"


def count_cached() -> dict[str, int]:
    """From now on: prompt tokens of finished requests, and how many of them the prefix cache had."""
    from orchestrator.inference.engines.vllm_shape import LiveModel

    cached = {"prompt": 0, "cached": 0}
    step = LiveModel.step

    def counting(self: Any) -> Any:
        outputs = step(self)
        for output in outputs:
            if output.finished:
                cached["prompt"] += len(output.prompt_token_ids or ())
                cached["cached"] += output.num_cached_tokens or 0
        return outputs

    LiveModel.step = counting  # type: ignore[method-assign]
    return cached


def with_samples(questions: int, state: Path) -> float:
    """Share of prompt tokens that the prefix cache has where the panel is shown convincing samples."""
    cached = count_cached()
    config = {"zoo": str(demo_zoo()), "state": str(state / "samples"), "workers": {"in_process": True}}
    kinds: dict[str, Any] = {"task": TASKS, "experts": list(PANEL), "max_tokens": TOKENS}
    file = state / "convincing.jsonl"
    with Collegium(config) as collegium:
        request = ConvincingRequest(**kinds, questions=48, keep=2)
        write_samples(file, asyncio.run(convincing(request, collegium.context())))
        collegium.profile(questions=3, **kinds)
        cached.update(prompt=0, cached=0)
        arguments = {"rounds": ROUNDS, "convincing": str(file)}
        collegium.run(methods=["reconcile"], mode="paper", questions=questions, fit_questions=3, **kinds, **arguments)
    return cached["cached"] / max(cached["prompt"], 1)


def ours(questions: int, state: Path, seconds: float | None) -> dict[str, Any] | None:
    """What generating took, the engine being up: wall time from the first request to the last, of all parts together.
    None: time is up before the last reply."""
    cached = count_cached()
    workers = {"in_process": True, "engine": "vllm"}
    config = {"zoo": str(demo_zoo()), "state": str(state / "state"), "workers": workers}
    noted = state / "parts.json"
    parts: list[dict[str, Any]] = json.loads(noted.read_text()) if noted.exists() else []
    with Collegium(config) as collegium:
        asyncio.run(collegium.chat(PANEL[0], max_tokens=4).ainvoke(f"Are you there, part {len(parts)}?"))
        kinds: dict[str, Any] = {"task": TASKS, "experts": list(PANEL), "max_tokens": TOKENS}
        collegium.profile(questions=3, **kinds)
        before = len(collegium.pool.timeline.stays)
        cached.update(prompt=0, cached=0)
        began = time.perf_counter()
        talk = collegium.arun(
            methods=["reconcile"], mode="paper", rounds=ROUNDS, questions=questions, fit_questions=3, **kinds
        )
        result: RunResult | None = None
        with contextlib.suppress(TimeoutError):
            result = asyncio.run(asyncio.wait_for(talk, seconds))
        wall = time.perf_counter() - began
        # What is resident when a part begins counts as its first load.
        stays = collegium.pool.timeline.stays[before - 1 :]
        if cached["prompt"] or not parts:  # else there was nothing left to generate
            parts.append({"wall": wall, "loads": len(stays), "busy": sum(stay.busy for stay in stays), **cached})
    noted.write_text(json.dumps(parts))
    if result is None:
        return None
    held = result.outcomes[0].transcripts
    transcripts.write(state / "held.jsonl", held)
    total: dict[str, Any] = {key: sum(part[key] for part in parts) for key in parts[0]}
    return total | {
        "parts": parts,
        "calls": sum(one.calls for one in held),
        "tokens": sum(turn.completion_tokens for one in held for turn in one.turns),
        "rounds": max(one.rounds for one in held),
        "prefix": total["cached"] / max(total["prompt"], 1),
    }


def reference(path: Path, questions: int) -> dict[str, Any]:
    """One request at a time, one resident expert."""
    from orchestrator.config import validate
    from orchestrator.experts.zoo import resolve
    from orchestrator.inference.request import Request, Sampling, request_key
    from orchestrator.inference.schedule.placement import local_engine, options

    config = validate({"zoo": str(demo_zoo()), "state": str(path.parent / "reference")}, path)
    expert = resolve(config)[PANEL[0]]
    engine = local_engine("vllm", options(config.workers))
    engine.load(expert)
    held = list(transcripts.read(path, questions))
    began, tokens, calls = time.perf_counter(), 0, 0
    for one in held:
        for turn in one.turns:
            messages = tuple((message.role, message.content) for message in one.prompts[turn.prompt])
            # As long as the reply was: the work is the same, whoever does it.
            sampling = Sampling(max_tokens=max(turn.completion_tokens, 1))
            key = request_key(expert.fingerprint, messages, sampling, len(str(calls)), calls)
            engine.add(Request(f"{key}{calls}", expert.name, messages, sampling), expert)
            finished = False
            while not finished:
                for delta in engine.step():
                    tokens += delta.tokens
                    finished = finished or delta.last
            calls += 1
    wall = time.perf_counter() - began
    engine.close()
    return {"wall": wall, "questions": len(held), "calls": calls, "tokens": tokens}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--reference-questions", type=int, default=8)
    parser.add_argument("--samples", type=int, help="only add: questions discussed with convincing samples")
    parser.add_argument("--state", type=Path, help="folder that keeps what was generated")
    parser.add_argument("--seconds", type=float, help="of one part")
    parser.add_argument("--reference", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.reference:
        print("FOUND " + json.dumps(reference(given.reference, given.reference_questions)))
        return
    if given.samples:
        with tempfile.TemporaryDirectory() as scratch:
            prefix = with_samples(given.samples, Path(scratch))
        report(json.loads(KEPT.read_text()) | {"samples": {"questions": given.samples, "prefix": prefix}})
        return
    noted = conditions()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.state or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        mine = ours(given.questions, folder, given.seconds)
        if mine is None:
            print("Time is up: call it again to go on.")
            return
        command = [sys.executable, "-m", "benchmarks.discussion_scheduling", "--reference", f"{folder}/held.jsonl"]
        command += ["--reference-questions", str(given.reference_questions)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
        if done.returncode:
            raise RuntimeError(f"the reference failed:\n{done.stderr[-2000:]}")
        peer = json.loads(next(row for row in done.stdout.splitlines() if row.startswith("FOUND "))[6:])
    report({"conditions": noted, "questions": given.questions, "ours": mine, "reference": peer})
    subprocess.run([sys.executable, "-m", "benchmarks.discussion_scheduling", "--samples", str(SAMPLED)], check=True)


def report(kept: dict[str, Any]) -> None:
    """Write the table of what has been measured."""
    mine, peer = kept["ours"], kept["reference"]
    speed, slow = mine["tokens"] / mine["wall"], peer["tokens"] / peer["wall"]
    table = [
        (
            "questions, calls, tokens generated",
            f"{kept['questions']}, {mine['calls']}, {mine['tokens']:,}",
            "500 questions",
        ),
        (
            "loads",
            f"{mine['loads']} for {len(PANEL)} experts, {mine['rounds']} rounds, in {len(mine['parts'])} parts",
            f"at most {1 + (1 + ROUNDS) * 2}, and for each further part the one it begins with",
        ),
        ("ours, from the first request to the last", f"{mine['wall']:.0f} s, {speed:.0f} tokens/s", ""),
        ("share of that spent generating", f"{mine['busy'] / mine['wall']:.1%}", ""),
        (
            f"the reference's way, {peer['questions']} questions measured",
            f"{peer['wall']:.0f} s, {peer['calls']} calls, {slow:.0f} tokens/s",
            "",
        ),
        ("ours is faster by", f"{speed / slow:.1f} times (tokens a second)", "at least 3"),
        ("prompt tokens found in the prefix cache", f"{mine['prefix']:.1%}", ""),
    ]
    if found := kept.get("samples"):
        report = f"prompt tokens found in the prefix cache, convincing samples shown, {found['questions']} questions"
        table.append((report, f"{found['prefix']:.1%}", ""))
    note = (
        "The cache keeps blocks of 128 tokens: prompts that begin alike for less share none. Experts never share: the "
        "same tokens are other numbers under other weights. The row with samples is measured by `--samples` alone."
    )
    write_result("discussion_scheduling", "Discussions on one worker", table, kept, note)


if __name__ == "__main__":
    main()
