"""Where an idle worker goes: the scheduler's choice, and what can be foretold of it."""

from __future__ import annotations

from math import inf

from orchestrator.inference.schedule.measures import SwitchCosts
from orchestrator.inference.schedule.queues import ExpertQueue, WorkerKind, WorkerState

_LEAST_COST = 1e-3
"""Seconds; keeps the choice finite where loads cost nothing (scripted engines, remote models)."""


def choose(
    kind: WorkerKind, free: list[WorkerState], costs: SwitchCosts, now: float
) -> tuple[WorkerState, ExpertQueue] | None:
    """The best move of the `free` idle workers: the greatest (work + age) / cost, in seconds.

    A queue served already counts by the part of its work that the newcomer would get, and only if its work divided
    by those serving outweighs the load. Among equals the first worker and the oldest queue win. None if no move
    pays; then `kind.ripens` says when one will though nothing happens.
    """
    kind.ripens = 0.0
    ripens, best, found = inf, -inf, None
    equal: dict[object, WorkerState] = {}
    for worker in free:
        equal.setdefault((worker.shape, worker.held, worker.queue if worker.leaving else None), worker)
    for queue in kind.wanting:
        queue.enough = 0.0
        if queue.count <= queue.promised:
            continue
        queue.enough = inf
        seconds, serving = queue.seconds(), len(queue.workers)
        work, age = queue.count * seconds, now - queue.oldest()
        for worker in equal.values():
            if worker.queue is queue:
                continue
            way = worker.way_to(queue)
            cost = max(costs.of(way, queue.shape), _LEAST_COST)
            if serving and work <= serving * cost:
                if seconds:
                    queue.enough = min(queue.enough, serving * cost / seconds)
                continue
            if not serving and way != "swap" and worker.shape and kind.shapes.get(queue.shape) and work + age <= cost:
                # Another worker could swap to it: a shape is not given up for less than that costs.
                ripens = min(ripens, now + cost - work - age)
                continue
            worth = (work / (serving + 1) + age) / cost
            if worth > best:
                best, found = worth, (worker, queue)
    if found is None and ripens < inf:
        kind.ripens = ripens
    return found


def next_for(worker: WorkerState, costs: SwitchCosts, now: float) -> ExpertQueue | None:
    """The queue it would go to next: the best that nobody serves and no other worker reads ahead."""
    best, found = -inf, None
    for queue in worker.kind.wanting:
        if not queue.workers and queue.reader in (None, worker):
            cost = max(costs.of(worker.way_to(queue), queue.shape), _LEAST_COST)
            worth = (queue.work() + now - queue.oldest()) / cost
            if worth > best:
                best, found = worth, queue
    return found


def wait(queue: ExpertQueue, costs: SwitchCosts, quiet: float, now: float) -> float:
    """Seconds until a request submitted now would reach a worker: see `Scheduler.wait_estimate`."""
    kind = queue.kind
    if queue.workers:
        if queue.hungry and not queue.count:
            return 0.0
        load = max(0.0, min(worker.arrives if worker.loading else now for worker in queue.workers) - now)
        if load and not queue.count:
            return load
        return load + (queue.work() + queue.seconds()) / len(queue.workers)
    if not kind.workers:
        return inf
    swap = costs.of("swap", queue.shape)
    cost = swap if kind.shapes.get(queue.shape) else costs.of("start", queue.shape)
    if len(kind.idle) > len(kind.wanting):
        return quiet + cost
    ahead = (kind.waiting + kind.running) * queue.seconds() + len(kind.wanting) * swap
    return quiet + ahead / len(kind.workers) + cost
