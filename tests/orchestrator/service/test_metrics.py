"""Metrics of a service."""

from __future__ import annotations

import httpx

CHAT = {"model": "words", "messages": [{"role": "user", "content": "Which word?"}]}


async def test_metrics_tell_what_happened(client: httpx.AsyncClient) -> None:
    await client.post("/v1/chat/completions", json=CHAT)
    await client.post("/v1/chat/completions", json={**CHAT, "model": "nobody"})
    text = (await client.get("/metrics")).text
    for line in (
        'collegium:http_requests_total{path="/v1/chat/completions",status="200"} 1.0',
        'collegium:http_requests_total{path="/v1/chat/completions",status="404"} 1.0',
        'collegium:generation_tokens_total{model="words"} 5.0',
        'collegium:time_to_first_token_seconds_count{model="words"} 1.0',
        'collegium:num_requests_waiting{expert="words"} 0.0',
        "collegium:swaps_total 1.0",
        "collegium:workers_ready 1.0",
        'collegium:batch_size_bucket{expert="words",le="1.0"} 5.0',
        'collegium:batch_size_count{expert="words"} 5.0',
        'collegium:request_queue_time_seconds_count{expert="words"} 1.0',
        "# TYPE collegium:swaps_total counter",
    ):
        assert line in text
    assert "nobody" not in text
