"""The same application on Ray Serve, with its scheduler in one named actor that may be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from orchestrator.config import Config, validate
from orchestrator.service.keys import KeyFile

SLOW = [{"role": "user", "content": "slow"}]
KEYS: dict[str, str] = {}
"""Name -> the key, once the service runs."""
USER = [{"role": "user", "content": "Which word?"}]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def on_ray(ray_cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    from orchestrator.service import ray_serve

    with warnings.catch_warnings():  # what Ray Serve says while it is imported is not ours
        warnings.simplefilter("ignore")
        import ray.serve  # noqa: F401

    folder = tmp_path_factory.mktemp("service")
    config = validate(
        {
            "experts": {
                "a": {"script": "orchestrator.inference.engines.scripted:echo"},
                "b": {"script": "replies:long", "context": 1_000_000},
            },
            "workers": {"engine": "scripted", "cpus": 0.1},
            "state": str(folder / "state"),
            "runs": str(folder / "runs"),
            "service": {"port": free_port(), "log": "none"},
        },
        Path("test").absolute(),
    )
    config = ray_serve.for_service(config)
    file = KeyFile(Path(config.state) / "keys.json")
    KEYS.update(rich=file.create("rich")[0], poor=file.create("poor", tokens_per_month=60)[0])
    ray_serve.start(config)
    base = f"http://127.0.0.1:{config.service.port}"
    end = time.monotonic() + 60
    while httpx.get(f"{base}/health/ready").status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.1)
    yield config
    ray_serve.shut_down(config)


def url(config: Config) -> str:
    return f"http://127.0.0.1:{config.service.port}"


def connected(config: Config, key: str = "rich", timeout: float = 60) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {KEYS[key]}"}
    return httpx.AsyncClient(base_url=url(config), timeout=timeout, headers=headers)


async def ended(client: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    """A job, once it is over."""
    job: dict[str, Any] = (await client.post("/v1/jobs", json=body)).json()
    while job["status"] in ("queued", "running"):
        await asyncio.sleep(0.05)
        job = (await client.get(f"/v1/jobs/{job['id']}")).json()
    return job


async def test_the_official_client_through_ray_serve(on_ray: Config) -> None:
    async with openai.AsyncOpenAI(base_url=f"{url(on_ray)}/v1", api_key=KEYS["rich"], max_retries=0) as client:
        stream = await client.chat.completions.create(model="a", messages=USER, stream=True)  # type: ignore[arg-type]
        parts = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
        assert "".join(parts) == "Which word?"
        replies = await asyncio.gather(
            *(
                client.chat.completions.create(model="a", messages=[{"role": "user", "content": f"hello {n}"}])
                for n in range(50)
            )
        )
        assert [reply.choices[0].message.content for reply in replies] == [f"hello {n}" for n in range(50)]
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model="c", messages=USER)  # type: ignore[arg-type]


async def test_jobs_run_in_the_scheduler(on_ray: Config) -> None:
    async with connected(on_ray) as client:
        job = await ended(client, {"pipeline": "profile", "request": {"task": "coin_flip", "questions": 3}})
        assert job["status"] == "succeeded", job
        assert (await client.get(f"/v1/jobs/{job['id']}/result")).json()["experts"] == ["a", "b"]
        assert (await client.post("/v1/jobs", json={"pipeline": "none"})).status_code == 400
        for _ in range(600):  # the mixture is fitted in the background
            ranked = await client.post("/v1/route", json={"questions": ["Which coin?"]})
            if ranked.status_code != 409:
                break
            await asyncio.sleep(0.1)
        assert len(ranked.json()["data"][0]["ranking"]) == 2
        judged = {"question": "Which coin?", "expert": "a", "score": 1.0}
        assert (await client.post("/v1/feedback", json=judged)).json()["version"] == 1
        assert "collegium:workers_ready 1.0" in (await client.get("/metrics")).text


async def test_budgets_hold_across_replicas_and_the_scheduler(on_ray: Config) -> None:
    """A replica counts its chats, the scheduler's actor its jobs; both see what the other spent."""
    assert httpx.get(f"{url(on_ray)}/v1/models").status_code == 401
    async with connected(on_ray, "poor") as client:
        chats = [
            {"model": "a", "messages": [{"role": "user", "content": f"word {n}"}], "max_tokens": 20} for n in "123"
        ]
        first = await client.post("/v1/chat/completions", json=chats[0])
        assert first.status_code == 200, first.text
        spent = first.json()["usage"]["total_tokens"]
        request = {"task": "coin_flip", "questions": 2, "experts": ["a"], "max_tokens": 20}
        job = await ended(client, {"pipeline": "profile", "request": request, "budget": {"tokens": 5}})
        assert (job["status"], "of 5 tokens" in job["error"]) == ("failed", True), job
        job = await ended(
            client, {"pipeline": "profile", "request": request}
        )  # its prompts alone pass the key's budget
        assert (job["status"], "this key's budget of the month" in job["error"]) == ("failed", True), job
        (month,) = (await client.get("/v1/usage")).json()["data"]
        assert month["prompt_tokens"] + month["completion_tokens"] >= spent
        last = await client.post("/v1/chat/completions", json={**chats[1], "max_tokens": 1000})
        assert (last.status_code, last.json()["error"]["code"]) == (429, "budget_exceeded")


@pytest.mark.soak
async def test_after_the_scheduler_was_killed_chats_fail_retriably_and_then_work(on_ray: Config) -> None:
    import ray

    from orchestrator.service.ray_serve import scheduler_actor

    actor = scheduler_actor(on_ray)
    pid = ray.get(actor.pid.remote())
    async with connected(on_ray) as client:
        body = {"model": "b", "messages": SLOW, "stream": True}
        async with client.stream("POST", "/v1/chat/completions", json=body) as response:
            assert response.status_code == 200
            told = ""
            async for text in response.aiter_text():
                if not told:
                    os.kill(pid, signal.SIGKILL)
                told += text
        assert "overloaded_error" in told
        for _ in range(300):
            answer = await client.post("/v1/chat/completions", json={"model": "a", "messages": USER})
            if answer.status_code == 200:
                break
            assert answer.status_code in (429, 503), answer.text
            await asyncio.sleep(0.2)
        assert answer.status_code == 200
