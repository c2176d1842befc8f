"""The scheduler on a virtual clock: its own cost, and how it compares with serving requests in order.

    python -m benchmarks.scheduler_simulation [--requests N] [--out FOLDER] [--json]

Writes scheduler_simulation.md and .json. Everything is seeded: counts and virtual seconds are the same on every
machine; only the microseconds and bytes are measured.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import random
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.scheduler_world import SAMPLING, Conversation, Dispatcher, InOrder, World
from orchestrator.inference.request import Request
from orchestrator.inference.schedule.scheduler import Assignment, Policy, Scheduler

SWAP, SLOTS, CAPACITY, MEAN = 0.5, 32, 64, 1.6
TURN = 15.0
"""A worker finishes SLOTS / MEAN = 20 requests a second: seconds a swap, slots, requests held, seconds a request."""


def zipf(experts: int) -> tuple[list[str], list[float]]:
    names = [f"e{rank:03d}" for rank in range(experts)]
    return names, [1 / (rank + 1) for rank in range(experts)]


def service(seed: int, mean: float = MEAN) -> Callable[[Request], float]:
    """Gamma with four stages: answers differ in length, by half of their mean."""
    draw = random.Random(seed)
    return lambda request: draw.gammavariate(4.0, mean / 4)


def names_of(workers: int) -> list[str]:
    return [f"w{number:02d}" for number in range(workers)]


def scheduler(
    queues: Iterable[str], workers: int, *, capacity: int = CAPACITY, policy: Policy | None = None
) -> Scheduler:
    """A scheduler with workers that have started already: what remains is swaps."""
    made = Scheduler(policy or Policy(swap_cost=SWAP, start_cost=SWAP))
    for queue in queues:
        made.declare(queue, kind="local", shape="one")
    for name in names_of(workers):
        made.join(name, kind="local", capacity=capacity, now=0.0)
    return made


def dispatcher(policy: str, queues: list[str], workers: int, capacity: int = CAPACITY) -> Dispatcher:
    if policy in ("collegium", "turns"):
        turn = TURN if policy == "turns" else None
        return scheduler(queues, workers, capacity=capacity, policy=Policy(swap_cost=SWAP, start_cost=SWAP, turn=turn))
    return InOrder(names_of(workers), SLOTS, affinity=policy == "lru")


def world(policy: str, queues: list[str], workers: int, *, seed: int, **more: Any) -> World:
    """`free`: one engine as large as all workers together, in which every expert is resident: a lower bound."""
    if policy == "free":
        made = scheduler(["all"], 1, capacity=SLOTS * workers)
        return World(made, names_of(1), slots=SLOTS * workers, lasts=service(seed), swap=lambda *_: 0.0, **more)
    swap = SWAP
    return World(
        dispatcher(policy, queues, workers),
        names_of(workers),
        slots=SLOTS,
        lasts=service(seed),
        swap=lambda *_: swap,
        **more,
    )


def batch(policy: str, requests: int, experts: int, workers: int, seed: int, trace: list[Any] | None = None) -> World:
    """Everything is submitted at once."""
    queues, weights = zipf(experts)
    made = world(policy, queues, workers, seed=seed, trace=trace)
    asked = [made.ask(queue) for queue in random.Random(seed).choices(queues, weights, k=requests)]
    made.outcome.experts = len({request.expert for request in asked})

    def submit_all() -> None:
        if isinstance(made.dispatcher, InOrder):
            for request in asked:
                made.submit(request.expert, [request])
            return
        by_queue: dict[str, list[Request]] = {}
        for request in asked:
            by_queue.setdefault("all" if policy == "free" else request.expert, []).append(request)
        for queue, its in by_queue.items():
            made.submit(queue, its)

    made.at(0.0, submit_all)
    made.run()
    return made


def arrivals(
    policy: str, requests: int, experts: int, workers: int, load: float, seed: int, trace: list[Any] | None = None
) -> World:
    """Requests come one by one, at `load` times what the workers could generate if swaps cost nothing."""
    queues, weights = zipf(experts)
    made = world(policy, queues, workers, seed=seed, trace=trace)
    draw = random.Random(seed)
    made.outcome.experts = experts
    rate = load * workers * SLOTS / MEAN
    asked = iter(draw.choices(queues, weights, k=requests))

    def next_one() -> None:
        queue = next(asked, None)
        if queue is not None:
            made.submit("all" if policy == "free" else queue, [made.ask(queue)])
            made.at(made.now + draw.expovariate(rate), next_one)

    made.at(0.0, next_one)
    # Those in order may fall behind for ever: what they have done by then is what counts.
    made.run(until=3 * requests / rate)
    return made


def staged(conversations: int, stages: list[str]) -> Callable[[World], None]:
    """Half of the conversations go through the stages in order, half with the experts exchanged."""
    exchange = {"a": "b", "b": "a"}

    def talk(names: list[str]) -> Conversation:
        for name in names:
            yield [name]

    def start(made: World) -> None:
        for number in range(conversations):
            made.converse(talk([name if number % 2 else exchange[name] for name in stages]))

    return start


def rounds(conversations: int, experts: list[str], number: int, pause: float = 0.0) -> Callable[[World], None]:
    """Discussions: everyone is asked, all answers are awaited, everyone is asked again."""

    def talk() -> Conversation:
        for turn in range(number):
            if turn and pause:
                yield pause
            yield list(experts)

    def start(made: World) -> None:
        for _ in range(conversations):
            made.converse(talk())

    return start


def discussion(
    policy: str, queues: list[str], start: Callable[[World], None], seed: int, *, reaction: float = 0.0005
) -> World:
    """Conversations on one worker."""
    made = world(policy, queues, 1, seed=seed, reaction=reaction)
    made.outcome.experts = len(queues)
    start(made)
    made.run()
    return made


def replay(trace: list[tuple[Any, ...]], queues: list[str], workers: int) -> tuple[float, list[Assignment]]:
    """The recorded calls on a fresh scheduler, without the simulation: CPU seconds, and its orders."""
    made = scheduler(queues, workers)
    submit, delivered, loaded, tick, next_tick = made.submit, made.delivered, made.loaded, made.tick, made.next_tick
    orders: list[Assignment] = []
    gc.collect()
    began = time.thread_time()
    for call in trace:
        name = call[0]
        if name == "tick":
            orders += tick(call[1])
            next_tick(call[1])
        elif name == "delivered":
            delivered(*call[1:])
        elif name == "submit":
            submit(*call[1:])
        else:
            loaded(*call[1:])
    return time.thread_time() - began, orders


def memory(sizes: list[int], experts: int) -> list[tuple[int, float]]:
    """Bytes a waiting request takes in the scheduler, beside the request itself."""
    queues, weights = zipf(experts)
    found = []
    for size in sizes:
        made = scheduler(queues, 0)
        by_queue: dict[str, list[Request]] = {}
        for number, queue in enumerate(random.Random(1).choices(queues, weights, k=size)):
            by_queue.setdefault(queue, []).append(Request(f"{number:08x}", queue, (("user", "?"),), SAMPLING))
        tracemalloc.start()
        for queue, its in by_queue.items():
            made.submit(queue, its, 0.0)
        found.append((size, tracemalloc.get_traced_memory()[1] / size))
        tracemalloc.stop()
    return found


# The report.

COLUMNS = ("requests", "swaps", "seconds", "mean", "p50", "p99", "worst")
POLICIES = ("collegium", "turns", "lru", "fifo", "free")
NAMES = {
    "collegium": "Collegium",
    "turns": f"Collegium, turns of {TURN:g} s",
    "lru": "in order, LRU (llama-swap)",
    "fifo": "in order, FIFO",
    "free": "free swaps (bound)",
}


def row(name: str, world: World) -> dict[str, Any]:
    return {"policy": name, **world.outcome.table()}


def markdown(rows: list[dict[str, Any]]) -> str:
    lines = ["| policy | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for each in rows:
        lines.append(
            f"| {NAMES.get(each['policy'], each['policy'])} | " + " | ".join(f"{each[c]:,}" for c in COLUMNS) + " |"
        )
    return "\n".join(lines)


def measure(requests: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    queues, _ = zipf(500)
    for name in ("batch", "arrivals"):
        trace: list[tuple[Any, ...]] = []
        if name == "batch":
            made = batch("collegium", requests, 500, 64, 1, trace)
        else:
            made = arrivals("collegium", requests // 5, 500, 64, 0.6, 1, trace)
        seconds, orders = replay(trace, queues, 64)
        assert sum(order.load for order in orders) == made.outcome.swaps, "the replay went another way"
        found[f"large {name}"] = [row("collegium", made)]
        found[f"microseconds {name}"] = round(seconds / made.outcome.requests * 1e6, 1)
        print(name, found[f"large {name}"], found[f"microseconds {name}"], file=sys.stderr, flush=True)
        del trace, made, orders
    found["memory"] = memory([10_000, 100_000, 1_000_000], 500)
    found["batch"] = [row(policy, batch(policy, 20_000, 500, 64, 1)) for policy in POLICIES if policy != "turns"]
    for load in (0.01, 0.1, 0.3, 0.6, 0.9):
        found[f"64 workers, load {load}"] = [
            row(policy, arrivals(policy, 40_000 if load > 0.05 else 10_000, 500, 64, load, 1)) for policy in POLICIES
        ]
        print(load, file=sys.stderr, flush=True)
    for load in (0.01, 0.05, 0.3, 0.6, 0.9):
        found[f"1 worker, load {load}"] = [row(policy, arrivals(policy, 10_000, 8, 1, load, 1)) for policy in POLICIES]
    for name, experts, start in (
        ("two stages", ["a", "b"], staged(1000, ["a", "b"])),
        ("three rounds", ["a", "b", "c"], rounds(300, ["a", "b", "c"], 3)),
    ):
        found[name] = [row(policy, discussion(policy, experts, start, 1)) for policy in ("collegium", "lru", "fifo")]
    return found


def report(found: dict[str, Any], requests: int, command: str) -> str:
    """The Markdown page."""
    sections = {
        f"{requests:,} requests, 500 experts, 64 workers, all submitted at once": "large batch",
        f"{requests // 5:,} requests, 500 experts, 64 workers, arriving at load 0.6": "large arrivals",
        "20,000 requests, 500 experts, 64 workers, all submitted at once": "batch",
        "Two stages, half a then b, half b then a; 1,000 conversations, one worker": "two stages",
        "Discussions of three experts over three rounds; 300 conversations, one worker": "three rounds",
    }
    sections |= {f"500 experts, {name}": name for name in found if name.startswith("64 workers")}
    sections |= {f"8 experts, {name}": name for name in found if name.startswith("1 worker,")}
    cost = " and ".join(f"{found[f'microseconds {name}']} ({name})" for name in ("batch", "arrivals"))
    bytes_each = ", ".join(f"{size:,} pending: {each:.0f}" for size, each in found["memory"])
    ours = found["large batch"][0]
    head = f"""# The scheduler, simulated

    {command}

{platform.machine()}, {os.cpu_count()} cores shared with other processes, Python {platform.python_version()}.
Counts and virtual seconds are exact and the same on every machine.

- **{cost} microseconds of CPU a request**, for submit, ticks and delivery, every completion
  delivered alone (the two large runs below; the recorded calls replayed without the simulation).
- **Bytes a pending request** (beside the request itself): {bytes_each}.
- **{ours["swaps"]:,} loads for a batch of {ours["requests"]:,} requests to {ours["experts"]} experts on 64 workers:
  {ours["swaps"] / ours["experts"]:.2f} a distinct expert.** The least possible is one.

Experts are chosen by Zipf's law (exponent 1). A worker has {SLOTS} slots and holds {CAPACITY} requests; a
request takes {MEAN} s on average (gamma, four stages), a swap {SWAP} s. Load is relative to what the workers could
generate if swaps and emptying slots cost nothing. Waits (mean to worst, in seconds) run from submission to the
engine's slot.

- *In order, LRU*: the head of one line goes to a worker that holds its expert, else the least recently used worker
  finishes and swaps, as llama-swap does.
- *In order, FIFO*: the head goes to the next worker with nothing to do.
- *Free swaps*: one engine as large as all, every expert resident; nobody can do better.

In order, a line that grows for ever is cut off at three times the time of the arrivals: `requests` tells how many were
served by then, and waits count those alone.
"""
    tables = [f"## {title}\n\n{markdown(found[name])}\n" for title, name in sections.items()]
    return "\n".join([head, LOSES, *tables])


LOSES = """## Where it loses

- An idle worker waits for quiet (5 ms) before it swaps, and up to a swap's cost while callers keep stirring or a
  conversation pauses; in order, the swap starts at once. At loads of a few per cent that is the difference.
- It favours experts with much work, so that the first request of a rare expert waits longer than it would
  in an ideal order; its age makes up for that, see "worst".
- A residency ends when its last answer is complete, so that slots run empty once a residency; with short queues that,
  and not the swap, is most of what "free swaps" does not pay.
- A queue that is never empty keeps its worker, and the others wait for as long: see one worker at load 0.6 and 0.9,
  where popular experts are asked faster than they can be left. A service should set `Policy.turn`: a worker
  then leaves after that many seconds if an older request waits where nobody serves. That costs swaps and
  bounds the worst wait; where the arrivals alone fill the worker, nothing does.
- Beside a stream of short visits (64 workers at load 0.1), p50 is far better than p99: popular experts
  have a worker to themselves, rare ones are visited in turn.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000, help="of the large runs")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON, not the page")
    arguments = parser.parse_args()
    found = measure(arguments.requests)
    page = report(
        found, arguments.requests, f"python -m benchmarks.scheduler_simulation --requests {arguments.requests}"
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "scheduler_simulation.md").write_text(page)
    numbers = json.dumps(found, indent=1)
    (arguments.out / "scheduler_simulation.json").write_text(numbers + "\n")
    print(numbers if arguments.json else page)


if __name__ == "__main__":
    main()
