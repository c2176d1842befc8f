"""What a service's log says of failures."""

from __future__ import annotations

import json
from typing import Any

import pytest

CHAT = {"model": "words", "messages": [{"role": "user", "content": "Which word?"}]}


async def test_the_log_line_of_a_refusal_says_why(
    settings: dict[str, Any], serving: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings["service"]["log"] = "json"
    with caplog.at_level("INFO", "collegium"):
        async with serving(settings) as client:
            await client.post("/v1/chat/completions", json={**CHAT, "temperature": 9})
            await client.get("/v1/nothing")
            await client.post("/v1/chat/completions", json={**CHAT, "model": "gpt-4o"})
            await client.get("/v1/models", headers={"Host": "evil.example"})
    lines = [json.loads(record.message) for record in caplog.records if record.name == "collegium.requests"]
    assert [(line["status"], line["code"], line["param"]) for line in lines] == [
        (400, "invalid", "temperature"),
        (404, None, None),
        (404, "model_not_found", "model"),
        (403, "host", None),
    ]
    assert lines[0]["error"].startswith("temperature: ")
    assert len(caplog.records) == len(lines), "one line each: what a client did wrong is no error of the service's"
