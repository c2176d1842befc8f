"""What the scheduler promises, one promise a test."""

from __future__ import annotations

from itertools import count

import pytest

from orchestrator.inference.request import Request, Sampling
from orchestrator.inference.schedule.choice import BATCH_TURNS
from orchestrator.inference.schedule.scheduler import Assignment, Policy, Scheduler


def pending(scheduler: Scheduler) -> int:
    """Requests waiting or running."""
    return scheduler.pending


KEYS = count()


def requests(queue: str, number: int, conversation: str | None = None, max_wait: float | None = None) -> list[Request]:
    return [
        Request(f"{next(KEYS):08x}", queue, (("user", "?"),), Sampling(), conversation=conversation, max_wait=max_wait)
        for _ in range(number)
    ]


def keys(assignment: Assignment) -> list[str]:
    return [request.key for request in assignment.requests]


def scheduler(*workers: int, policy: Policy | None = None, shapes: str = "xxxxxx") -> Scheduler:
    """Queues a to f of the given shapes, and workers w0, w1, ... of the given capacities."""
    made = Scheduler(policy or Policy())
    for queue, shape in zip("abcdef", shapes, strict=True):
        made.declare(queue, kind="local", shape=shape)
    for number, capacity in enumerate(workers):
        made.join(f"w{number}", kind="local", capacity=capacity, now=0.0)
    return made


def settle(made: Scheduler, now: float) -> tuple[list[Assignment], float]:
    """Tick until the first orders; they, and when they came."""
    for _ in range(100):
        if orders := made.tick(now):
            return orders, now
        wanted = made.next_tick(now)
        assert wanted is not None, "nothing is due"
        now = wanted
    raise AssertionError("asked to be called again and again, and did nothing")


def resident(made: Scheduler, queue: str, now: float, worker: str = "w0", seconds: float = 0.5) -> float:
    """Bring a queue to an idle worker by one request, which takes a tenth of a second of the worker when it is full;
    the time when all is quiet again."""
    made.submit(queue, requests(queue, 1), now)
    orders, now = settle(made, now)
    (order,) = orders
    assert (order.worker, order.queue, order.load) == (worker, queue, True)
    now += seconds
    made.loaded(worker, seconds, now)
    made.tick(now)
    now += 0.1 * made._workers[worker].capacity
    made.delivered(worker, keys(order), now)
    made.tick(now)
    return now + 1


def test_the_first_load_waits_until_callers_are_quiet() -> None:
    made = scheduler(8)
    made.submit("a", requests("a", 1), 0.0)
    made.tick(0.0)
    made.submit("b", requests("b", 5), 0.004)
    assert made.tick(0.006) == []
    (order,), when = settle(made, 0.006)
    assert when == pytest.approx(0.009)
    assert (order.queue, len(order.requests), order.load) == ("b", 5, True)


def test_more_work_for_the_resident_expert_goes_to_it_at_once() -> None:
    made = scheduler(3)
    now = resident(made, "a", 0.0)
    made.submit("a", requests("a", 5), now)
    (order,) = made.tick(now)
    assert (order.load, len(order.requests)) == (False, 3)
    made.delivered("w0", keys(order)[:2], now + 1)
    (more,) = made.tick(now + 1)
    assert (more.load, len(more.requests)) == (False, 2)


def test_no_more_work_is_sent_while_the_worker_is_on_its_way() -> None:
    made = scheduler(8)
    made.submit("a", requests("a", 1), 0.0)
    settle(made, 0.0)
    made.submit("a", requests("a", 1), 0.1)
    assert made.tick(0.1) == []
    made.loaded("w0", 0.5, 0.5)
    (order,) = made.tick(0.5)
    assert (order.load, len(order.requests)) == (False, 1)


def test_the_queue_with_more_work_goes_first_and_age_makes_up_for_little() -> None:
    made = scheduler(8)
    now = resident(made, "a", 0.0)
    made.submit("b", requests("b", 1), now)
    made.submit("c", requests("c", 9), now)
    assert settle(made, now)[0][0].queue == "c"

    made = scheduler(1)
    now = resident(made, "a", 0.0)
    made.submit("a", requests("a", 1), now)
    (busy,) = made.tick(now)
    made.submit("b", requests("b", 1), now)
    made.submit("c", requests("c", 9), now + 60)
    made.withdraw(busy.requests[0].key, now + 60)
    made.delivered("w0", keys(busy), now + 60)
    assert settle(made, now + 60)[0][0].queue == "b"


def test_a_cheap_way_is_preferred_to_a_dear_one() -> None:
    made = scheduler(8, shapes="xyxxxx")
    now = resident(made, "a", 0.0, seconds=20.0)
    made.submit("b", requests("b", 9), now)
    made.submit("c", requests("c", 1), now)
    assert settle(made, now)[0][0].queue == "c"


def test_measured_costs_replace_the_guesses() -> None:
    made = scheduler(8, shapes="xyyxxx", policy=Policy(start_cost=0.1))
    now = resident(made, "a", 0.0)
    now = resident(made, "b", now, seconds=90.0)
    now = resident(made, "a", now, seconds=90.0)
    made.submit("b", requests("b", 4), now)
    made.submit("d", requests("d", 1), now)
    assert settle(made, now)[0][0].queue == "d"


def test_a_worker_does_not_give_up_its_shape_while_another_could_swap_for_less() -> None:
    made = scheduler(1, 1, shapes="xyyxxx")
    now = resident(made, "a", 0.0, seconds=20.0)
    made.submit("a", requests("a", 1), now)
    made.tick(now)
    now = resident(made, "b", now, worker="w1", seconds=20.0)
    (running,) = [order for order in [*_submit(made, "b", 1, now)] if order.worker == "w1"]
    for key in _running(made, "w0"):
        made.withdraw(key, now)
        made.delivered("w0", [key], now)
    made.submit("c", requests("c", 1), now)
    assert made.tick(now + 1) == [], "w0 holds another shape, and w1 will soon be free"
    wanted = made.next_tick(now + 1)
    assert wanted is not None
    assert now + 10 < wanted < now + 20, "but only as long as that saves something"
    made.delivered("w1", keys(running), now + 2)
    (order,), _ = settle(made, now + 2)
    assert (order.worker, order.queue) == ("w1", "c")


def _submit(made: Scheduler, queue: str, number: int, now: float, max_wait: float | None = None) -> list[Assignment]:
    made.submit(queue, requests(queue, number, max_wait=max_wait), now)
    return made.tick(now)


def _running(made: Scheduler, worker: str) -> list[str]:
    return list(made._workers[worker].running)


def test_of_idle_workers_the_one_idle_longest_moves() -> None:
    made = scheduler(4, 4)
    now = resident(made, "a", 0.0, worker="w0")
    now = resident(made, "b", now, worker="w1")
    (order,) = _submit(made, "a", 1, now)
    made.delivered("w0", keys(order), now + 1)
    made.submit("c", requests("c", 1), now + 2)
    assert settle(made, now + 2)[0][0].worker == "w1"


def test_one_queue_is_shared_by_idle_workers_when_that_pays_and_only_then() -> None:
    made = scheduler(64, 64, 64, 64, policy=Policy(start_cost=0.5))
    made.submit("a", requests("a", 200), 0.0)
    orders, _ = settle(made, 0.0)
    assert [len(order.requests) for order in orders] == [50, 50, 50, 50]

    made = scheduler(1, 1, 1, 1, policy=Policy(start_cost=0.5))
    made.submit("a", requests("a", 7), 0.0)
    orders, _ = settle(made, 0.0)
    assert len(orders) == 2, "0.7 s of work outweigh one more load of 0.5 s, but not two"


def test_every_worker_that_is_sent_gets_something() -> None:
    made = scheduler(64, 64, 64, 64, policy=Policy(start_cost=0.0))
    made.submit("a", requests("a", 5), 0.0)
    orders, _ = settle(made, 0.0)
    assert len(orders) == 4
    assert all(order.requests for order in orders)


def test_the_very_last_request_does_not_wait_where_there_is_room() -> None:
    made = scheduler(4, 4, policy=Policy(start_cost=0.1))
    made.submit("a", requests("a", 8), 0.0)
    orders, now = settle(made, 0.0)
    for order in orders:
        made.loaded(order.worker, 0.1, now)
        made.delivered(order.worker, keys(order)[1:], now + 1)
    assert made.tick(now + 1) == []
    assert len(_submit(made, "a", 1, now + 1)) == 1


def test_a_late_helper_comes_when_the_queue_has_grown_enough() -> None:
    made = scheduler(1, 1)
    now = resident(made, "a", 0.0)
    first = _submit(made, "a", 3, now)
    assert [order.worker for order in first] == ["w0"]
    assert made.tick(now + 1) == []
    made.submit("a", requests("a", 1000), now + 1)
    orders, _ = settle(made, now + 1)
    assert [(order.worker, order.load) for order in orders] == [("w1", True)]


def test_the_last_requests_of_a_queue_are_shared_fairly() -> None:
    made = scheduler(10, 10, policy=Policy(start_cost=0.5))
    made.submit("a", requests("a", 100), 0.0)
    running = {order.worker: keys(order) for order in settle(made, 0.0)[0]}
    for worker in running:
        made.loaded(worker, 0.5, 1.0)
    made.tick(1.0)
    now, most = 1.0, 0
    while pending(made):
        now += 1
        for worker in running:
            made.delivered(worker, running[worker][:1], now)
            del running[worker][:1]
        for order in made.tick(now):
            running[order.worker] += keys(order)
        most = max(most, abs(len(running["w0"]) - len(running["w1"])))
    assert most <= 1


def test_a_worker_that_gets_nothing_because_others_took_it_all_can_go_elsewhere() -> None:
    made = scheduler(2, 2, policy=Policy(start_cost=0.5))
    made.submit("a", requests("a", 20), 0.0)
    running = {order.worker: keys(order) for order in settle(made, 0.0)[0]}
    made.loaded("w0", 0.5, 1.0)
    made.loaded("w1", 0.5, 1.0)
    made.tick(1.0)
    for key in [key for key, entry in made._pending.items() if entry.place is made._queues["a"]][:-1]:
        made.withdraw(key, 1.0)
    for worker in running:
        made.delivered(worker, running[worker], 2.0)
    (last,) = made.tick(2.0)
    other = "w1" if last.worker == "w0" else "w0"
    made.submit("b", requests("b", 1), 3.0)
    (order,), _ = settle(made, 3.0)
    assert (order.worker, order.queue) == (other, "b")


def test_busy_callers_are_waited_for_but_never_longer_than_a_swap_costs() -> None:
    made = scheduler(4)
    now = resident(made, "a", 0.0)
    made.submit("b", requests("b", 1), now)
    began = now
    while not (orders := made.tick(now)):
        now += 0.004
        made.activity(now)
    assert orders[0].queue == "b"
    assert now - began == pytest.approx(0.5, abs=0.01)


def test_patience_with_a_pausing_conversation_pays_or_is_unlearnt() -> None:
    made = scheduler(4)
    made.costs.learn("swap", "x", 0.4)
    made.open("pausing")
    now, waits = 0.0, []
    for queue in "abcdefabcdef":
        began = now
        made.submit(queue, requests(queue, 1), now)
        (order,), now = settle(made, now)
        waits.append(round(now - began, 3))
        made.loaded("w0", 0.4, now)
        made.delivered("w0", keys(order), now)
        made.tick(now)
    assert waits[:6] == [0.4, 0.4, 0.2, 0.1, 0.05, 0.025], "halved each time that nothing came (the first left nothing)"
    assert min(waits) == 0.025, "a sixteenth is always tried"

    for _ in range(4):
        made.submit("a", requests("a", 1), now)
        made.tick(now)
        now += 0.02
        made.submit("f", requests("f", 1), now)
        (order,) = made.tick(now)
        assert order.queue == "f", "the resident expert got work while its worker was patient"
        made.delivered("w0", keys(order), now)
        for key in list(made._pending):
            made.withdraw(key, now)
        now += 1
    made.submit("a", requests("a", 1), now)
    _, then = settle(made, now)
    assert then - now > 0.3


def test_a_conversation_with_something_pending_or_closed_is_not_waited_for() -> None:
    for close in (False, True):
        made = scheduler(4)
        now = resident(made, "a", 0.0)
        made.open("talk")
        if close:
            made.close("talk")
        made.submit("b", requests("b", 1, None if close else "talk"), now)
        _, then = settle(made, now)
        assert then - now == pytest.approx(0.005)


def test_a_lost_workers_requests_return_to_the_head_in_order() -> None:
    made = scheduler(3)
    batch = requests("a", 6)
    made.submit("a", batch, 0.0)
    _, now = settle(made, 0.0)
    made.loaded("w0", 0.5, now)
    made.delivered("w0", [batch[1].key], now)
    made.tick(now)
    assert made.withdraw(batch[2].key, now) == "w0"
    assert made.lost("w0", now) == [batch[0], batch[3]]
    assert made.tick(now + 1) == []
    assert made.next_tick(now + 1) is None
    made.join("w9", kind="local", capacity=9, now=now + 1)
    (order,), _ = settle(made, now + 1)
    assert (order.worker, order.load) == ("w9", True)
    assert order.requests == [batch[0], *batch[3:]]


def test_a_dropped_queue_gives_its_requests_back_and_its_worker_must_load_again() -> None:
    made = scheduler(1)
    batch = requests("a", 3)
    made.submit("a", batch, 0.0)
    _, now = settle(made, 0.0)
    assert made.drop("a") == batch[1:]
    assert made.withdraw(batch[0].key, now) == "w0"
    made.delivered("w0", [batch[0].key], now)
    assert pending(made) == 0
    made.submit("a", requests("a", 1), now)
    assert settle(made, now)[0][0].load


def test_after_a_failed_load_the_worker_still_holds_its_shape() -> None:
    made = scheduler(1)
    now = resident(made, "a", 0.0)
    made.submit("b", requests("b", 1), now)
    (failed,), now = settle(made, now)
    made.drop("b")
    made.withdraw(failed.requests[0].key, now)
    made.delivered("w0", keys(failed), now)
    made.submit("c", requests("c", 1), now)
    _, now = settle(made, now)
    made.loaded("w0", 0.125, now)
    assert made.costs.of("swap", "x") == 0.125


def test_aborted_requests_do_not_count_as_fast_ones() -> None:
    made = scheduler(100)
    now = resident(made, "a", 0.0)
    before = made._queues["a"].seconds()
    (order,) = _submit(made, "a", 100, now)
    for key in keys(order):
        made.withdraw(key, now)
    made.delivered("w0", keys(order), now)
    assert made._queues["a"].seconds() == before


def test_a_withdrawn_request_is_never_handed_out_and_may_be_submitted_again() -> None:
    made = scheduler(9)
    first, second = requests("a", 2)
    made.submit("a", [first, second], 0.0)
    assert made.withdraw(first.key, 0.0) is None
    assert made.withdraw("unheard of", 0.0) is None
    made.submit("a", [first], 0.0)
    assert settle(made, 0.0)[0][0].requests == [second, first]


def test_many_withdrawals_leave_nothing_behind() -> None:
    made = scheduler()
    batch = requests("a", 1000)
    made.submit("a", batch, 0.0)
    for request in batch[:-1]:
        made.withdraw(request.key, 0.0)
    assert sum(map(len, made._queues["a"].lanes.values())) < 100
    assert pending(made) == 1


def test_a_queue_that_never_runs_dry_keeps_its_worker_unless_turns_are_limited() -> None:
    def asked_elsewhere(policy: Policy, own: float | None, other: float | None) -> float | None:
        """A request for b, while two for a are always running; when it is taken up. `own`, `other`: their `max_wait`,
        which chats have and batch work has not."""
        made = scheduler(2, policy=policy)
        now = resident(made, "a", 0.0)
        running = [key for order in _submit(made, "a", 2, now) for key in keys(order)]
        made.submit("b", requests("b", 1, max_wait=other), now)
        began = now
        while now < began + 700:
            now += 0.5
            if running:
                made.delivered("w0", [running.pop(0)], now)
            made.submit("a", requests("a", 1, max_wait=own), now)
            for order in made.tick(now):
                if order.queue == "b":
                    return now - began
                running += keys(order)
        return None

    turns = Policy(turn=10.0)
    assert asked_elsewhere(Policy(), 30.0, 30.0) is None
    for own, other in ((30.0, 30.0), (30.0, None), (None, 30.0)):
        waited = asked_elsewhere(turns, own, other)
        assert waited is not None, (own, other)
        assert waited < 13
    waited = asked_elsewhere(turns, None, None)  # batch work is left for batch work late, so that loads are few
    assert waited is not None
    assert 10 * BATCH_TURNS <= waited < 10 * BATCH_TURNS + 30


def test_batches_need_one_load_for_each_expert_and_keep_no_chat_waiting() -> None:
    made = scheduler(4, policy=Policy(turn=2.0))
    now = resident(made, "a", 0.0)
    for name in "abc":
        made.submit(name, requests(name, 100), now)
    chats: dict[str, float] = {}
    loads, waits, running, began = [], [], [], now
    while made.pending:
        now += 0.1
        if running:
            made.delivered("w0", running, now)
            running = []
        if round(now - began, 1) in (3.0, 6.0):
            (chat,) = requests("d", 1, max_wait=30.0)
            made.submit("d", [chat], now)
            chats[chat.key] = now
        for order in made.tick(now):
            if order.load:
                loads.append(order.queue)
                made.loaded("w0", 0.0, now)
            running += keys(order)
            waits += [now - chats[key] for key in keys(order) if key in chats]
    assert len(waits) == 2
    assert max(waits) < 2.5
    assert loads.count("d") == 2
    assert len(loads) <= 2 + 2 + 2, loads  # b and c, the chats, and back to what they interrupted


def test_the_next_expert_is_foretold_and_each_worker_reads_another_ahead() -> None:
    made = scheduler(1, 1)
    now = resident(made, "a", 0.0)
    _submit(made, "a", 1, now)
    now = resident(made, "b", now, worker="w1")
    _submit(made, "b", 1, now)
    assert made.following("w0") is None
    made.submit("c", requests("c", 3), now)
    made.submit("d", requests("d", 9), now)
    assert (made.following("w0"), made.following("w1")) == ("d", "c")
    made.delivered("w1", _running(made, "w1"), now)
    assert settle(made, now)[0][0].queue == "d"
    assert made.following("w0") == "c"
    assert made.following("nobody") is None


def test_wait_estimates_follow_what_was_measured() -> None:
    made = scheduler(2)
    assert made.wait_estimate("a", 0.0) == pytest.approx(20, rel=0.01)
    made.submit("a", requests("a", 2, max_wait=30.0), 0.0)
    (order,), now = settle(made, 0.0)
    assert made.wait_estimate("a", now + 5) == pytest.approx(15)
    made.loaded("w0", 20.0, now + 20)
    made.tick(now + 20)
    made.delivered("w0", keys(order), now + 24)
    made.tick(now + 24)
    now += 24
    assert made.wait_estimate("a", now) == 0
    assert made.wait_estimate("b", now) == pytest.approx(0.5, abs=0.01)
    _submit(made, "a", 12, now, max_wait=30.0)
    believed = made.wait_estimate("a", now) / 11
    assert 0.1 < believed < 2, "2 s a request were measured twice, but a tenth was expected"
    assert made.wait_estimate("b", now) == pytest.approx(12 * made._queues["b"].seconds() + 0.5 + 0.5, abs=0.01)
    for _ in range(100):
        now += 4
        made.delivered("w0", _running(made, "w0"), now)
        _submit(made, "a", 2, now, max_wait=30.0)
    assert made.wait_estimate("a", now) == pytest.approx(11 * 2, rel=0.1)
    made.lost("w0", now)
    assert made.wait_estimate("a", now) == float("inf")


def test_kinds_keep_to_themselves() -> None:
    made = scheduler(4)
    made.declare("far", kind="remote", shape="-")
    made.submit("far", requests("far", 1), 0.0)
    assert made.next_tick(0.0) is None
    made.join("r", kind="remote", capacity=1, now=0.0)
    assert settle(made, 0.0)[0][0].worker == "r"


def test_a_broken_contract_is_refused_and_changes_nothing() -> None:
    made = scheduler(1)
    (request,) = requests("a", 1)
    made.submit("a", [request], 0.0)
    with pytest.raises(ValueError, match="queue 'a': a request"):
        made.submit("a", [*requests("a", 1), request], 0.0)
    with pytest.raises(ValueError, match="pending already"):
        made.submit("b", requests("b", 1) * 2, 0.0)
    with pytest.raises(ValueError, match="'z' has not been declared"):
        made.submit("z", requests("z", 1), 0.0)
    with pytest.raises(ValueError, match="'w0' has joined already"):
        made.join("w0", kind="local", capacity=1, now=0.0)
    with pytest.raises(ValueError, match="'w1': capacity"):
        made.join("w1", kind="local", capacity=0, now=0.0)
    assert pending(made) == 1


def test_late_news_from_a_lost_worker_is_ignored() -> None:
    made = scheduler(1)
    (request,) = requests("a", 1)
    made.submit("a", [request], 0.0)
    _, now = settle(made, 0.0)
    assert made.lost("w0", now) == [request]
    assert made.lost("w0", now) == []
    made.loaded("w0", 0.5, now)
    made.delivered("w0", [request.key], now)
    assert pending(made) == 1
