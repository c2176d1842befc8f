"""What of a configuration changes while a service runs, and what is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.config import Config, validate
from orchestrator.errors import ConfigError
from orchestrator.service.application import application
from orchestrator.service.keys import KeyFile
from orchestrator.service.reloading import changed
from orchestrator.service.runtime import ServiceRuntime

CHAT = {"model": "words", "messages": [{"role": "user", "content": "word?"}], "user": "ann"}


def config(**fields: Any) -> Config:
    return Config.model_validate({"experts": {"words": {"script": "a:b"}}, **fields})


def test_settings_that_need_a_restart_are_named() -> None:
    old = config()
    assert changed(old, old) == []
    assert changed(old, config(service={"strict": True, "queue": 5})) == ["service.queue", "service.strict"]
    for fields, named in (
        ({"workers": {"count": 2}}, "workers.count"),
        ({"service": {"strict": True, "port": 9}}, "service.port"),
        ({"experts": {"words": {"script": "a:b"}, "more": {"script": "a:b"}}}, "experts.more"),
        ({"database": "postgresql://a@b/c"}, "database"),
    ):
        with pytest.raises(ConfigError, match=f"{named}.*restart"):
            changed(old, config(**fields))


async def test_a_service_takes_over_what_may_change_and_nothing_if_anything_may_not(settings: dict[str, Any]) -> None:
    now = dict(settings)

    def reread() -> Config:
        return validate(now, Path("test").absolute())

    runtime = ServiceRuntime(reread(), reread=reread)
    app = application(runtime)
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))  # type: ignore[arg-type]
    async with (
        app.app.router.lifespan_context(app.app),  # type: ignore[attr-defined]
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        while not runtime.ready:
            await asyncio.sleep(0.01)

        async def reload() -> httpx.Response:
            return await client.post("/v1/admin/reload")

        assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 200
        now["service"] = {"log": "none", "strict": True}
        assert (await reload()).json() == {"object": "reload", "changed": ["service.strict"]}
        assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 400
        now["service"] = {"log": "none", "port": 1234}
        refused = await reload()
        assert refused.status_code == 400
        assert "service.port" in refused.json()["error"]["message"]
        now["service"] = {"log": "none", "default": "nobody"}
        assert "service.default" in (await reload()).json()["error"]["message"]
        assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 400  # still strict
        now["service"] = {"log": "none"}
        assert (await reload()).status_code == 200
        assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 200

        file = KeyFile(Path(settings["state"]) / "keys.json")
        usual = file.create("usual")[0]
        admin = file.create("admin", ["admin"])[0]
        for key, status in ((usual, 403), (admin, 200), ("clg_x_y", 401)):
            runtime.keys.reload()
            answer = await client.post("/v1/admin/reload", headers={"Authorization": f"Bearer {key}"})
            assert answer.status_code == status, key
