"""What callers of a service wait, on a virtual clock: against least-recently-used swapping, and our promise.

    python -m benchmarks.service_waits

200 clients ask six experts at random through one worker, each again as soon as it is answered; 2,000 requests. The
promise (docs/operations.md): nobody waits longer than a turn, the longest reply and a swap, for each expert.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.scheduler_simulation import names_of, scheduler
from benchmarks.scheduler_world import Conversation, InOrder, Outcome, World
from orchestrator.inference.request import Request
from orchestrator.inference.schedule.scheduler import Policy

CLIENTS, REQUESTS, EXPERTS, SLOTS, TURN = 200, 2000, 6, 32, 5.0
LOADS = ((0.16, 0.2), (1.6, 0.4), (6.0, 1.0))
"""(mean seconds of a reply, seconds of a swap): a small model on a CPU, a large one, long replies."""


class Chats(World):
    """Chats are no conversations to the scheduler: it cannot know that more will come of them."""

    def converse(self, conversation: Conversation) -> None:
        self.talks += 1
        self._soon(conversation, f"chat {self.talks}")


def closed(policy: str, mean: float, swap: float, seed: int) -> tuple[Outcome, float]:
    """What came of it, and the longest reply."""
    queues = [f"expert-{number}" for number in range(EXPERTS)]
    ours = Policy(swap_cost=swap, start_cost=swap, turn=TURN)
    made = (
        scheduler(queues, 1, capacity=2 * SLOTS, policy=ours)
        if policy == "collegium"
        else InOrder(names_of(1), SLOTS, affinity=True)
    )
    asked = iter(random.Random(seed).choices(queues, k=REQUESTS))
    draw = random.Random(seed + 1)
    lengths = [0.0]

    def lasts(request: Request) -> float:
        lengths.append(draw.gammavariate(4.0, mean / 4))
        return lengths[-1]

    world = Chats(made, names_of(1), slots=SLOTS, lasts=lasts, swap=lambda *_: swap)

    def talk() -> Conversation:
        for queue in asked:
            yield [queue]

    for _ in range(CLIENTS):
        world.converse(talk())
    return world.run(), max(lengths)


def promised(longest: float, swap: float) -> float:
    """The longest wait, seconds."""
    return EXPERTS * (TURN + longest + swap)


def main() -> None:
    from benchmarks.machine import conditions, write_result

    rows: list[tuple[str, str, str]] = []
    result: dict[str, Any] = {"conditions": conditions(), "runs": []}
    for mean, swap in LOADS:
        (ours, longest), (lru, _) = closed("collegium", mean, swap, 0), closed("lru", mean, swap, 0)
        result["runs"].append({"mean": mean, "swap": swap, "collegium": ours.table(), "lru": lru.table()})
        name = f"replies of {mean:g} s, swaps of {swap:g} s"
        own, other = ours.table(), lru.table()
        rows += [
            (f"{name}: swaps, least recently used and ours", f"{lru.swaps} and {ours.swaps}", "3 times fewer"),
            (f"{name}: mean wait", f"{other['mean']} and {own['mean']} s", "at most half"),
            (f"{name}: worst wait", f"{other['worst']} and {own['worst']} s", f"{promised(longest, swap):.0f} s"),
        ]
    title = f"Waits of a service, simulated: {CLIENTS} clients, {REQUESTS} requests, {EXPERTS} experts, one worker"
    write_result("service_waits", title, rows, result)


if __name__ == "__main__":
    main()
