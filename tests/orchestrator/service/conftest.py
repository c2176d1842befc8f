"""A service of scripted experts, in this process and as a server of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from orchestrator.config import Config, validate
from orchestrator.service.application import application
from orchestrator.service.runtime import ServiceRuntime

SCRIPTS = '''
"""Experts that know one thing each. The whole prompt decides."""
import time

def _reply(messages, blind):
    text = messages[-1][1]
    if text == "history":
        return " | ".join(f"{role}:{content}" for role, content in messages)
    if text.startswith("slow"):
        return " ".join(f"{n:x>9999}" for n in range(2000))  # more than sockets hold: it ends only when it is read
    if text == "nap":
        time.sleep(0.5)
    if text.startswith("fail"):
        raise ValueError("secret detail /etc/passwd")
    if blind in text:
        return "Hard to say.\\nAnswer: nothing\\nConfidence: 0.2"
    return f"Easy.\\nAnswer: {'yes' if 'coin' in text else 'a'}\\nConfidence: 0.9"

def words(messages, seed):
    return _reply(messages, "coin")

def coins(messages, seed):
    return _reply(messages, "word") if not seed else f"seed {seed}"

def slow(messages, seed):
    time.sleep(0.05)
    return "Answer: a"
'''


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A configuration of two scripted experts; tests change it."""
    (tmp_path / "served.py").write_text(SCRIPTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("COLLEGIUM_API_KEYS", raising=False)
    return {
        "experts": {"words": {"script": "served:words"}, "coins": {"script": "served:coins"}},
        "workers": {"engine": "scripted", "in_process": True},
        "state": str(tmp_path / "state"),
        "runs": str(tmp_path / "runs"),
        "service": {"log": "none"},
    }


def configured(settings: dict[str, Any]) -> Config:
    return validate(settings, Path("test").absolute())


@contextlib.asynccontextmanager
async def served(
    settings: dict[str, Any], *, root_path: str = "", peer: str = "127.0.0.1", **options: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the application, without a socket; the service is ready. `peer`: the client's address."""
    runtime = ServiceRuntime(configured(settings))
    app = application(runtime)
    api = app.app
    transport = httpx.ASGITransport(app, False, root_path, (peer, 123))  # type: ignore[arg-type]
    client = httpx.AsyncClient(transport=transport, base_url="http://localhost", **options)
    async with api.router.lifespan_context(api), client:  # type: ignore[attr-defined]
        while not runtime.ready:
            await asyncio.sleep(0.01)
        yield client


@pytest.fixture
def configure() -> Any:
    """`configure(settings)`: the checked configuration."""
    return configured


@pytest.fixture
def serving() -> Any:
    """`async with serving(settings) as client`."""
    return served


@pytest.fixture
def on_socket() -> Any:
    """`with on_socket(settings) as url`."""
    return listening


@pytest.fixture
async def client(settings: dict[str, Any]) -> AsyncIterator[httpx.AsyncClient]:
    async with served(settings) as made:
        yield made


@contextlib.contextmanager
def listening(settings: dict[str, Any]) -> Iterator[str]:
    """The service on a socket, on a thread of this process; its base URL."""
    runtime = ServiceRuntime(configured(settings))
    config = uvicorn.Config(application(runtime), port=0, log_config=None, timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started or not runtime.ready:
            assert thread.is_alive()
            threading.Event().wait(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


@pytest.fixture
def url(settings: dict[str, Any]) -> Iterator[str]:
    with listening(settings) as found:
        yield found


QUESTIONS = [
    {"id": f"q{n}", "task": task, "question": f"{text} number {n}", "answer": answer, "kind": kind}
    for n in range(40)
    for task, text, answer, kind in [
        ("coins", "Is the coin up?", "yes", "yesno") if n % 2 else ("words", "Which word?", "a", "text")
    ]
]


@pytest.fixture
def profiled(settings: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """The configuration with a correctness table: `words` knows words, `coins` knows coins."""
    from router.row import Row
    from router.table import Table

    rows = (
        Row(
            str(one["id"]),
            str(one["question"]),
            {"words": float(one["task"] == "words"), "coins": float(one["task"] == "coins")},
            task=str(one["task"]),
        )
        for one in QUESTIONS
    )
    Table.from_rows(rows, ("words", "coins")).write(tmp_path / "profile.jsonl")
    settings["service"]["profile"] = str(tmp_path / "profile.jsonl")
    return settings
