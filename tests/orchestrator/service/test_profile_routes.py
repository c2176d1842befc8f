"""What the profile showed, by REST."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.service.keys import KeyFile


async def test_accuracies_by_expert_and_task(profiled: dict[str, Any], serving: Any) -> None:
    async with serving(profiled) as client:
        found = (await client.get("/v1/profile")).json()["experts"]
    assert set(found) == {"words", "coins"}
    for expert in found.values():
        for one in expert.values():
            assert 0 <= one["low"] <= one["value"] <= one["high"] <= 1
            assert one["n"] > 0
    assert {one["value"] for tasks in found.values() for one in tasks.values()} >= {0.0, 1.0}


async def test_a_key_sees_the_models_that_it_may_ask(profiled: dict[str, Any], serving: Any) -> None:
    file = KeyFile(Path(profiled["state"]) / "keys.json")
    secret, _ = file.create("some", ["chat"], models=["coins"])
    async with serving(profiled) as client:
        headers = {"Authorization": f"Bearer {secret}"}
        assert set((await client.get("/v1/profile", headers=headers)).json()["experts"]) == {"coins"}
        assert (await client.get("/v1/profile")).status_code == 401


async def test_without_a_profile_there_is_none(settings: dict[str, Any], serving: Any) -> None:
    async with serving(settings) as client:
        found = (await client.get("/v1/profile")).json()
    assert found["experts"] == {}
    assert "profile" in found["why_not"]
