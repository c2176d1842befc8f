"""Keys and their limits: where they come from, and who gets in."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import ConfigError
from orchestrator.service.keys import LOOK, Key, KeyFile, KeyLimits, Keys

CHAT = {"model": "words", "messages": [{"role": "user", "content": "Which word?"}]}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_keys_scopes_and_limits(settings: dict[str, Any], serving: Any) -> None:
    file = KeyFile(Path(settings["state"]) / "keys.json")
    everything, kept = file.create("all")
    jobs, _ = file.create("jobs", ["jobs"])
    slow, _ = file.create("slow", ["chat"], requests_per_minute=3)
    metrics, _ = file.create("prometheus", ["metrics"])
    assert everything not in file.path.read_text()
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    async with serving(settings) as client:
        for headers in ({}, bearer("clg_x_y"), bearer(everything[:-1]), {"Authorization": everything}):
            refused = await client.get("/v1/models", headers=headers)
            assert refused.status_code == 401
            assert refused.json()["error"]["code"] == "invalid_api_key"
        assert (await client.get("/v1/models", headers=bearer(everything))).status_code == 200
        assert (await client.get("/v1/models", headers=bearer(jobs))).status_code == 403
        assert (await client.get("/v1/jobs", headers=bearer(jobs))).status_code == 200
        assert (await client.get("/v1/jobs", headers=bearer(slow))).status_code == 403
        codes = [
            (await client.post("/v1/chat/completions", json=CHAT, headers=bearer(slow))).status_code for _ in range(3)
        ]
        assert codes == [200, 200, 429]
        for path in ("/health", "/health/ready"):
            assert (await client.get(path)).status_code == 200
        for path, key, status in (
            ("/metrics", None, 401),
            ("/metrics", jobs, 403),
            ("/metrics", metrics, 200),
            ("/v1/pipelines", metrics, 403),
            ("/v1/pipelines", jobs, 200),
            ("/openapi.json", None, 401),
            ("/openapi.json", metrics, 200),
            ("/v1/nothing", None, 404),
            ("/v1/nothing", metrics, 404),
        ):
            assert (await client.get(path, headers=bearer(key) if key else {})).status_code == status, path
        file.revoke(kept.id)
        await asyncio.sleep(1.1)
        assert (await client.get("/v1/models", headers=bearer(everything))).status_code == 401


async def test_the_first_key_closes_a_service_that_had_none(settings: dict[str, Any], serving: Any) -> None:
    async with serving(settings) as client:
        assert (await client.get("/v1/models")).status_code == 200
        file = KeyFile(Path(settings["state"]) / "keys.json")
        _, kept = file.create("first")
        await asyncio.sleep(1.1)
        assert (await client.get("/v1/models")).status_code == 401
        file.revoke(kept.id)
        await asyncio.sleep(1.1)
        assert (await client.get("/v1/models")).status_code == 401


async def test_a_key_may_ask_again_once_its_request_is_over(settings: dict[str, Any], serving: Any) -> None:
    text, _ = KeyFile(Path(settings["state"]) / "keys.json").create("one", concurrent=1)
    wrong = {**CHAT, "model": "nobody"}
    async with serving(settings) as client:
        for body, status in ((CHAT, 200), (wrong, 404), (CHAT, 200)):
            answer = await client.post("/v1/chat/completions", json=body, headers=bearer(text))
            assert answer.status_code == status, answer.text


async def test_keys_come_from_the_environment_too(
    settings: dict[str, Any], serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLLEGIUM_API_KEYS", "a-long-enough-key, another-long-enough-key")
    async with serving(settings) as client:
        assert (await client.get("/v1/models")).status_code == 401
        assert (await client.get("/v1/models", headers=bearer("another-long-enough-key"))).status_code == 200


def test_a_limit_at_once_is_given_back() -> None:
    limits, key = KeyLimits(), Key("k", "k", "", concurrent=1)
    assert limits.enter(key, 0.0) is None
    assert limits.enter(key, 0.0) == 1.0
    limits.leave(key)
    assert limits.enter(key, 0.0) is None


def test_a_limit_a_minute_fills_evenly() -> None:
    limits, key = KeyLimits(), Key("k", "k", "", requests_per_minute=60)
    assert [limits.enter(key, 0.0) for _ in range(60)] == [None] * 60
    assert limits.enter(key, 0.0) == pytest.approx(1.0)
    assert limits.enter(key, 1.0) is None


@pytest.mark.parametrize("content", ["{", "[1]", '[{"id": "x"}]', '{"a": 1}'])
def test_a_broken_file_of_keys_lets_nobody_in(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys.json").write_text(content)
    with pytest.raises(ConfigError, match=r"keys\.json"):
        Keys(KeyFile(tmp_path / "keys.json"))


async def test_keys_as_other_clients_send_them(settings: dict[str, Any], serving: Any) -> None:
    text, _ = KeyFile(Path(settings["state"]) / "keys.json").create("all")
    async with serving(settings) as client:
        for header in ("x-api-key", "api-key"):
            assert (await client.get("/v1/models", headers={header: text})).status_code == 200
            assert (await client.get("/v1/models", headers={header: "wrong"})).status_code == 401
            both = {header: text, "Authorization": "Bearer wrong"}
            assert (await client.get("/v1/models", headers=both)).status_code == 401


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_neither_waited_for_nor_read_without_end(tmp_path: Path, make: Any) -> None:
    keys = Keys(file := KeyFile(tmp_path / "keys.json"))
    text, _ = file.create("ann")
    keys.reload()
    assert keys.find(text)
    file.path.unlink()
    make(file.path)
    keys._looked = -LOOK
    with pytest.raises(ConfigError, match="not a file"):
        keys.find(text)
    with pytest.raises(ConfigError, match="not a file"):
        _ = keys.needed


def test_a_file_that_may_no_longer_be_read_is_looked_at_again(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    file.create("ann")
    before = file.stamp()
    file.path.chmod(0)
    assert file.stamp() != before, "no key is valid by memory"
