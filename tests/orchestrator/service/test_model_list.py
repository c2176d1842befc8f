"""What `/v1/models` says of each model id."""

from __future__ import annotations

from typing import Any

import pytest


async def test_an_expert_is_listed_with_its_context_prices_and_readiness(
    settings: dict[str, Any], serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ABSENT_KEY", raising=False)
    remote = {"url": "http://127.0.0.1:9/v1", "model": "m"}
    settings["experts"] |= {
        "far": {**remote, "context": 4096, "prices": {"input": 1.5, "output": 6.0}},
        "keyless": {**remote, "api_key_env": "ABSENT_KEY"},
    }
    settings["experts"]["words"]["context"] = 512
    async with serving(settings) as client:
        found = {one["id"]: one for one in (await client.get("/v1/models")).json()["data"]}
        assert (await client.get("/v1/models/far")).json() == found["far"]
    assert (found["words"]["kind"], found["words"]["max_model_len"], found["words"]["prices"]) == ("expert", 512, None)
    assert found["far"]["prices"]["input"] == 1.5
    assert (found["far"]["ready"], found["far"]["max_model_len"]) == (True, 4096)
    assert (found["keyless"]["ready"], found["keyless"]["max_model_len"]) == (False, None)
    assert found["keyless"]["why_not"] == "the service's environment lacks ABSENT_KEY"
    assert found["vote"].keys() == {"id", "object", "created", "owned_by", "kind"}
