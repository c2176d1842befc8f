"""How a service starts: what is loaded before it is ready, who has a worker for itself, and what it refuses."""

from __future__ import annotations

import asyncio
import gc
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.chats.routing import Routing
from orchestrator.config import validate
from orchestrator.errors import BadInput, ConfigError, StorageError
from orchestrator.service.runtime import ServiceRuntime
from router.embedding import Embedder, EmbeddingError

CHAT = {"messages": [{"role": "user", "content": "Which word?"}]}


def metric(text: str, name: str) -> float:
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"collegium:{name} "))


async def test_preloaded_experts_are_there_when_it_is_ready(settings: dict[str, Any], serving: Any) -> None:
    settings["service"]["preload"] = ["coins"]
    async with serving(settings) as client:
        assert metric((await client.get("/metrics")).text, "swaps_total") == 1
        assert (await client.post("/v1/chat/completions", json={"model": "coins", **CHAT})).status_code == 200
        assert metric((await client.get("/metrics")).text, "swaps_total") == 1


@pytest.mark.parametrize("usable", [True, False])
@pytest.mark.parametrize("mixture", [True, False])
async def test_the_embedder_is_loaded_before_a_service_with_a_mixture_is_ready_and_after_any_other_is(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, usable: bool, mixture: bool
) -> None:
    loaded: list[bool] = []

    def load(self: Embedder) -> None:
        time.sleep(0.2)
        loaded.append(True)
        if not usable:
            raise EmbeddingError("there is no model")

    monkeypatch.setattr(Embedder, "load", load)
    monkeypatch.setattr(Routing, "why_not", lambda self, **_: None if mixture else "there is no profile")
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(len(loaded)))
    frozen: list[int] = []
    runtime = ServiceRuntime(validate(settings, tmp_path / "c.yaml"), warm=True)
    runtime.open()
    try:
        while not runtime.ready:
            await asyncio.sleep(0.01)
        assert bool(loaded) == mixture
        while not frozen:
            await asyncio.sleep(0.01)
        assert loaded
    finally:
        await runtime.close()


async def test_a_pinned_expert_keeps_its_worker(settings: dict[str, Any], serving: Any) -> None:
    settings["workers"] |= {"count": 2, "pin": ["words"]}
    async with serving(settings) as client:
        for number in range(3):
            for model in ("words", "coins"):
                asked = [{"role": "user", "content": f"Which word? {number}"}]
                response = await client.post("/v1/chat/completions", json={"model": model, "messages": asked})
                assert response.status_code == 200
        assert metric((await client.get("/metrics")).text, "swaps_total") == 2


@pytest.mark.parametrize(
    ("workers", "told"),
    [
        ({"pin": ["nobody"]}, "workers.pin: 'nobody' is no expert"),
        ({"pin": ["words"]}, "leave no worker of 1 for the others"),
    ],
)
async def test_pins_that_cannot_be(settings: dict[str, Any], workers: dict[str, Any], told: str) -> None:
    from orchestrator import Collegium

    settings["workers"] |= workers
    with Collegium(settings) as collegium, pytest.raises(ConfigError, match=told):
        _ = collegium.pool


def test_what_cannot_be_served_is_refused_before_anything_starts(settings: dict[str, Any], tmp_path: Any) -> None:
    settings["service"]["preload"] = ["nobody"]
    with pytest.raises(ConfigError, match=r"service\.preload"):
        ServiceRuntime(validate(settings, tmp_path / "c.yaml"))


async def test_two_services_do_not_share_a_state_folder(settings: dict[str, Any], serving: Any, tmp_path: Any) -> None:
    async with serving(settings):
        with pytest.raises(BadInput, match="another service"):
            ServiceRuntime(validate(settings, tmp_path / "c.yaml"))


def test_a_state_folder_that_cannot_be_written_is_one_line(settings: dict[str, Any], tmp_path: Any) -> None:
    (tmp_path / "file").write_text("")
    settings["state"] = str(tmp_path / "file" / "state")
    with pytest.raises(StorageError, match=r"service\.lock: cannot be written: Not a directory; set `state:`"):
        ServiceRuntime(validate(settings, tmp_path / "c.yaml"))


async def test_what_is_stored_is_for_its_owner_only(settings: dict[str, Any], serving: Any) -> None:
    state = Path(settings["state"])
    async with serving(settings) as client:
        assert (await client.post("/v1/chat/completions", json={"model": "words", **CHAT})).status_code == 200
        files = [path for path in state.rglob("*") if path.is_file()]
        assert {"ledger.sqlite", "jobs.sqlite", "service.lock"} <= {path.name for path in files}
        assert {path.name: oct(path.stat().st_mode & 0o077) for path in files if path.stat().st_mode & 0o077} == {}
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
