"""A replica and its scheduler, each on a loop of its own, with everything pickled between them as Ray does it; what
Ray itself adds is in test_service_ray.py."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from orchestrator.config import validate
from orchestrator.service.application import application
from orchestrator.service.ray_serve import SchedulerActor
from orchestrator.service.replica import ReplicaRuntime
from orchestrator.service.runtime import for_service

USER = [{"role": "user", "content": "Which word?"}]
EASY = "Easy.\nAnswer: a\nConfidence: 0.9"


class Lost(Exception):
    pass


class Handle:
    """As an actor's handle: `handle.method.remote(...)` can be awaited on any loop."""

    def __init__(self, body: Any) -> None:
        self.body = body
        self.lost = False
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def __getattr__(self, name: str) -> Any:
        class Method:
            @staticmethod
            def remote(*arguments: Any) -> Any:
                return self.call(name, pickle.loads(pickle.dumps(arguments)))

        return Method

    async def rest(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def call(self, name: str, arguments: Any) -> Any:
        if self.lost:
            raise Lost("the actor died")
        work = asyncio.run_coroutine_threadsafe(getattr(self.body, name)(*arguments), self.loop)
        return pickle.loads(pickle.dumps(await asyncio.wrap_future(work)))


@pytest.fixture
def handle(settings: dict[str, Any], tmp_path: Any) -> Iterator[Handle]:
    config = for_service(validate(settings, tmp_path / "c.yaml"))
    made = Handle(SchedulerActor(config.model_dump_json()))
    made.body.config = config
    yield made
    asyncio.run_coroutine_threadsafe(made.body.close(), made.loop).result(30)
    asyncio.run_coroutine_threadsafe(made.rest(), made.loop).result(30)
    made.loop.call_soon_threadsafe(made.loop.stop)
    made.thread.join()
    made.loop.close()


async def post(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await client.post("/v1/chat/completions", json={"model": "words", "messages": USER, **body})


async def ready(client: httpx.AsyncClient) -> None:
    while (await client.get("/health/ready")).status_code != 200:
        await asyncio.sleep(0.01)


async def test_a_replica_answers_through_the_scheduler(handle: Handle) -> None:
    replicas = [application(ReplicaRuntime(handle.body.config, handle, f"replica-{number}")) for number in range(2)]
    clients = [
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=one),  # type: ignore[arg-type]
            base_url="http://localhost",
        )
        for one in replicas
    ]
    first, second = (one.app.router.lifespan_context(one.app) for one in replicas)  # type: ignore[attr-defined]
    async with first, second, clients[0], clients[1]:
        for client in clients:
            await ready(client)
        asked = [post(clients[n % 2], messages=[{"role": "user", "content": f"word {n}"}]) for n in range(40)]
        replies = await asyncio.gather(*asked)
        assert {reply.json()["choices"][0]["message"]["content"] for reply in replies} == {EASY}
        streamed = (await post(clients[0], stream=True, temperature=0.5)).text
        assert streamed.count('"content": ') == 6
        told = (await post(clients[1], model="vote", collegium={"kind": "text"})).json()["collegium"]
        assert (told["answer"], told["calls"]) == ("a", 2)
        assert (await post(clients[0], messages=[{"role": "user", "content": "w " * 3000}])).status_code == 400
        assert "collegium:workers_ready 1.0" in (await clients[1].get("/metrics")).text
        judged = {"question": "Which word?", "expert": "words", "score": 1}
        assert (await clients[0].post("/v1/feedback", json=judged)).json()["version"] == 1
        assert (await clients[1].post("/v1/feedback", json=judged)).json()["version"] == 2


async def test_a_client_that_leaves_frees_the_engine_of_the_scheduler(handle: Handle) -> None:
    app = application(ReplicaRuntime(handle.body.config, handle, "replica"))
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    async with (
        app.app.router.lifespan_context(app.app),  # type: ignore[attr-defined]
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        await ready(client)
        nap = asyncio.create_task(post(client, messages=[{"role": "user", "content": "nap"}]))
        await asyncio.sleep(0.2)
        nap.cancel()
        with pytest.raises(asyncio.CancelledError):
            await nap
        for _ in range(100):
            load = await handle.call("load", ())
            if load.requests.get("words") == (0, 0):
                break
            await asyncio.sleep(0.02)
        assert load.requests["words"] == (0, 0)


async def test_who_waits_when_the_scheduler_is_lost_hears_so(handle: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.inference.scheduler_calls.SILENCE", 0.3)
    app = application(ReplicaRuntime(handle.body.config, handle, "replica"))
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    async with (
        app.app.router.lifespan_context(app.app),  # type: ignore[attr-defined]
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        await ready(client)
        assert (await post(client)).status_code == 200
        nap = asyncio.create_task(post(client, messages=[{"role": "user", "content": "nap"}]))
        await asyncio.sleep(0.1)
        handle.lost = True
        answer = await nap
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert (await post(client)).status_code == 503
        handle.lost = False
        for _ in range(100):
            if (again := await post(client, temperature=0.1)).status_code == 200:
                break
            await asyncio.sleep(0.05)
        assert again.status_code == 200
