"""Which conversation a call belongs to, and its draws."""

from __future__ import annotations

import threading

from orchestrator.inference.request import Sampling


def test_draws_of_threads_in_one_conversation_all_differ(make_pool, play) -> None:
    pool, who = make_pool(), play.expert("a")
    warm = Sampling(temperature=1.0)
    keys: list[str] = []

    def draw() -> None:
        keys.extend(play.call(pool, who, "same", sampling=warm)[0].key for _ in range(300))

    threads = [threading.Thread(target=draw) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(keys)) == 2400
