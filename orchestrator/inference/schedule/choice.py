"""Where an idle worker goes: the scheduler's choice, and estimates of it."""

from __future__ import annotations

from math import inf
from typing import Literal

from orchestrator.inference.schedule.measures import SwitchCosts
from orchestrator.inference.schedule.queues import ExpertQueue, WorkerKind, WorkerState

_MIN_COST = 1e-3
"""Seconds; keeps the choice finite where loads cost nothing (scripted engines, remote models)."""
BATCH_TURNS = 60
"""Turns after which batch work is left for older batch work: else a queue of it that is never empty kept its worker for
ever."""


def choose(
    kind: WorkerKind, free: list[WorkerState], costs: SwitchCosts, now: float
) -> tuple[WorkerState, ExpertQueue] | None:
    """The best move of the `free` idle workers: the greatest (work + age) / cost, in seconds.

    A queue served already counts by the part of its work that the newcomer would get, and only if its work divided
    by those serving outweighs the load. Among equals the first worker and the oldest queue win. None if no move
    pays; then `kind.next_move_at` says when one will pay without any further event.
    """
    kind.next_move_at = 0.0
    next_move_at, best, found = inf, -inf, None
    equal: dict[object, WorkerState] = {}
    for worker in free:
        equal.setdefault((worker.shape, worker.held, worker.queue if worker.leaving else None), worker)
    for queue in kind.waiting_queues:
        queue.min_to_move = 0.0
        if queue.count <= queue.promised:
            continue
        queue.min_to_move = inf
        seconds, serving = queue.seconds(), len(queue.workers)
        work, age = queue.count * seconds, now - queue.oldest()
        for worker in equal.values():
            if worker.queue is queue:
                continue
            if worker.leaving == "chat" and queue.oldest_chat() == inf:
                continue
            way = worker.way_to(queue)
            cost = max(costs.of(way, queue.shape), _MIN_COST)
            if serving and work <= serving * cost:
                if seconds:
                    queue.min_to_move = min(queue.min_to_move, serving * cost / seconds)
                continue
            if not serving and way != "swap" and worker.shape and kind.shapes.get(queue.shape) and work + age <= cost:
                # Another worker could swap to it: a shape is not given up for less than that costs.
                next_move_at = min(next_move_at, now + cost - work - age)
                continue
            worth = (work / (serving + 1) + age) / cost
            if worth > best:
                best, found = worth, (worker, queue)
    if found is None and next_move_at < inf:
        kind.next_move_at = next_move_at
    return found


def leaves_for(queue: ExpertQueue, late: bool) -> Literal["", "chat", "work"]:
    """What a worker whose turn is over leaves the queue for: an older chat where nobody serves, else older batch work,
    which comes before chats at once and before other batch work only where it is `late`; empty: it stays."""
    chat, unserved = queue.oldest_chat(), [other for other in queue.kind.waiting_queues if not other.workers]
    if any(other.oldest_chat() < chat for other in unserved):
        return "chat" if chat == inf else "work"
    own = queue.oldest() if chat == inf else chat
    return "work" if (chat < inf or late) and any(other.oldest() < own for other in unserved) else ""


def next_for(worker: WorkerState, costs: SwitchCosts, now: float) -> ExpertQueue | None:
    """The queue it would go to next: the best that nobody serves and no other worker reads ahead."""
    best, found = -inf, None
    for queue in worker.kind.waiting_queues:
        if not queue.workers and queue.reader in (None, worker):
            cost = max(costs.of(worker.way_to(queue), queue.shape), _MIN_COST)
            worth = (queue.work() + now - queue.oldest()) / cost
            if worth > best:
                best, found = worth, queue
    return found


def wait(
    queue: ExpertQueue, costs: SwitchCosts, quiet: float, turn: float | None, now: float, caller: str = ""
) -> float:
    """Seconds until a chat submitted now would reach a worker: see `Scheduler.wait_estimate`."""
    kind = queue.kind
    if queue.workers:
        if queue.with_room and not queue.count:
            return 0.0
        load = max(0.0, min(worker.arrives if worker.loading else now for worker in queue.workers) - now)
        if load and not queue.count:
            return load
        return load + (queue.ahead_of(caller) + 1) * queue.seconds() / len(queue.workers)
    if not kind.workers:
        return inf
    swap = costs.of("swap", queue.shape)
    cost = swap if kind.shapes.get(queue.shape) else costs.of("start", queue.shape)
    if len(kind.idle) > len(kind.waiting_queues):
        return quiet + cost
    ahead = (kind.waiting + kind.running) * queue.seconds() + len(kind.waiting_queues) * swap
    if turn is not None:  # batch work gives way after it
        chats = (kind.chats + kind.running) * queue.seconds() + min(len(kind.waiting_queues), kind.chats) * swap
        ahead = min(ahead, chats + turn * len(kind.workers))
    return quiet + ahead / len(kind.workers) + cost
