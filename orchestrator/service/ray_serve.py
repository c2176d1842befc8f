"""The application on Ray Serve: replicas answer HTTP, one named actor holds the scheduler, the ledger and the jobs.

Replicas read the state folder and run folders (keys, routing, results): on a Ray cluster of several nodes these lie on
storage that all nodes share.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import threading
from pathlib import Path
from typing import Any

from orchestrator.config import Config, read
from orchestrator.errors import ConfigError
from orchestrator.service.application import application
from orchestrator.service.keys import Keys
from orchestrator.service.runtime import ServiceRuntime, check_address, for_service, key_stores
from orchestrator.service.serve import PRIVATE, log_to_stderr

NAMESPACE = "collegium"
CALLS_AT_ONCE = 10_000
ONE_LOOP = {"RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0", "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0"}
"""Ray Serve's switches: a replica's application, and the proxy's router, on the loop that carries their messages. Every
token passes both; on two cores a tenth to a third more of them arrive. Read when Serve's processes start, so that a Ray
cluster that runs already goes by what it was started with."""
PATIENCE = 60.0
"""Seconds for which a new scheduler waits for the state folder of an old one."""
APPLICATION = "collegium"


class SchedulerActor:
    """The body of the named actor: a runtime without HTTP. Ray starts it anew if it is lost; jobs then go on, chats
    hear a retriable error."""

    def __init__(self, config: str) -> None:
        # The one before it may have been killed with its whole Ray cluster, and not be gone yet.
        os.umask(PRIVATE)
        self._runtime = ServiceRuntime(Config.model_validate_json(config), patience=PATIENCE)
        self._calls: Any = None
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Start workers and jobs. Idempotent."""
        async with self._opening:
            if self._calls is None:
                from orchestrator.inference.scheduler_calls import SchedulerCalls

                pool = await asyncio.to_thread(lambda: self._runtime.collegium.pool)
                self._runtime.open()
                self._calls = SchedulerCalls(pool, self._runtime.collegium.experts)

    async def ready(self) -> bool:
        """True once requests are taken."""
        await self.open()
        return self._runtime.ready

    async def submit(self, caller: str, calls: list[Any]) -> None:
        """See `SchedulerCalls`."""
        await self.open()
        self._calls.submit(caller, calls)

    async def withdraw(self, caller: str, numbers: list[int]) -> None:
        """See `SchedulerCalls`."""
        await self.open()
        self._calls.withdraw(caller, numbers)

    async def news(self, caller: str) -> list[Any]:
        """See `SchedulerCalls`."""
        await self.open()
        found: list[Any] = await self._calls.news(caller)
        return found

    async def conversation(self, opened: list[str], closed: list[str]) -> None:
        """See `SchedulerCalls`."""
        await self.open()
        self._calls.conversation(opened, closed)

    async def load(self) -> Any:
        """See `SchedulerCalls`."""
        await self.open()
        return await self._calls.load()

    async def job(self, method: str, *arguments: Any) -> Any:
        """One of `Jobs`' or its store's methods."""
        owner = self._runtime.jobs if method in ("submit", "cancel", "files") else self._runtime.jobs.store
        return await asyncio.to_thread(getattr(owner, method), *arguments)

    async def learn(self, question: str, expert: str, score: float, skills: list[str]) -> int:
        """Record one judgement; its version."""
        return await self._runtime.routing.learn(question, expert, score, skills)

    async def pid(self) -> int:
        """The actor's process id."""
        return os.getpid()

    async def close(self) -> None:
        """Stop the pool and the jobs."""
        await self._runtime.close()


def scheduler_actor(config: Config) -> Any:
    """The named actor, made if there is none."""
    import ray

    return (
        ray.remote(SchedulerActor)
        .options(
            name=config.service.scheduler,
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            max_restarts=-1,
            max_concurrency=CALLS_AT_ONCE,
        )
        .remote(config.model_dump_json())
    )


def build(config: dict[str, Any] | None = None) -> Any:
    """The Serve application, for `serve run` and Serve configuration files: import_path
    `orchestrator.service.ray_serve:build`, args `{config: /path/to/collegium.yaml}`. Whoever runs it decides where it
    listens: without API keys the application answers only requests from its own machine. Raises `ConfigError`."""
    given = config or {}
    if "config" not in given:
        raise ConfigError("args: config: the path of a configuration is needed")
    resolved = for_service(read(Path(str(given["config"])).expanduser().absolute()))
    with contextlib.closing(Keys(*key_stores(resolved))) as keys:
        check_address(resolved.service.host, keys)
    return deployment(resolved)


def deployment(config: Config) -> Any:
    """Replicas of the application, bound to the configuration."""
    from ray import serve

    text = config.model_dump_json()

    def make() -> Any:
        from orchestrator.service.replica import ReplicaRuntime

        log_to_stderr()
        loaded = Config.model_validate_json(text)
        name = f"{os.getpid()}-{secrets.token_hex(8)}"
        return application(ReplicaRuntime(loaded, scheduler_actor(loaded), name, warm=True))

    replica = serve.deployment(
        name="application",
        num_replicas=config.service.replicas,
        max_ongoing_requests=2 * config.service.queue,  # beyond the queue the application says 429
        ray_actor_options={"num_cpus": 0},
        graceful_shutdown_timeout_s=config.service.drain_seconds,
        health_check_period_s=5,
    )
    return replica(serve.ingress(make)()).bind()


def serve(config: Config) -> None:
    """Deploy, and stay until SIGTERM or Ctrl-C; then take it down. Raises what bad input raises."""
    from orchestrator.collegium import Collegium
    from orchestrator.inference.schedule.ray_cluster import join_cluster

    log_to_stderr()
    for name, value in ONE_LOOP.items():
        os.environ.setdefault(name, value)
    config = for_service(config)
    with contextlib.closing(Keys(*key_stores(config))) as keys:
        check_address(config.service.host, keys)
    experts = Collegium(config).experts.values()  # bad input is refused before anything is deployed
    join_cluster(config.workers, {one.name: tuple(map(str, one.files)) for one in experts if not one.remote})
    start(config)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
    shut_down(config)


def start(config: Config) -> None:
    """Deploy on the Ray cluster that this process is connected to."""
    from ray import serve

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    serve.start(
        proxy_location="HeadOnly",
        http_options={"host": config.service.host, "port": config.service.port},
        logging_config={"enable_access_log": False, "log_level": "WARNING"},
    )
    serve.run(deployment(config), name=APPLICATION, route_prefix="/")


def shut_down(config: Config) -> None:
    """Take the application down, then the scheduler."""
    import ray
    from ray import serve

    serve.shutdown()
    actor = scheduler_actor(config)
    try:
        ray.get(actor.close.remote(), timeout=60)
    finally:
        ray.kill(actor)
