"""Who gets in, and what is never let through: keys, scopes, limits, sizes, slow bodies, foreign hosts."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from orchestrator.cli import group
from orchestrator.errors import BadInput, ConfigError
from orchestrator.service.application import application
from orchestrator.service.keys import SCOPES, Key, KeyFile, KeyLimits, Keys
from orchestrator.service.runtime import ServiceRuntime, check_address
from orchestrator.service.scopes import ANY, OPEN, ScopedRoute

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


@pytest.mark.parametrize("how", ["revoked", "deleted", "damaged"])
async def test_a_service_with_keys_never_opens_to_everybody(settings: dict[str, Any], serving: Any, how: str) -> None:
    file = KeyFile(Path(settings["state"]) / "keys.json")
    text, kept = file.create("only")
    async with serving(settings) as client:
        assert (await client.get("/v1/models", headers=bearer(text))).status_code == 200
        if how == "revoked":
            file.revoke(kept.id)
        elif how == "deleted":
            file.path.unlink()
        else:
            file.path.write_text("{")
        await asyncio.sleep(1.1)
        status = 503 if how == "damaged" else 401
        for headers in ({}, bearer(text)):
            for path in ("/v1/models", "/v1/jobs"):
                assert (await client.get(path, headers=headers)).status_code == status
        again, _ = file.create("again") if how != "damaged" else ("", None)
        if how == "damaged":
            file.path.unlink()
            again, _ = file.create("again")
        await asyncio.sleep(1.1)
        assert (await client.get("/v1/models", headers=bearer(again))).status_code == 200
        assert (await client.get("/v1/models", headers=bearer(text))).status_code == 401


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


async def test_scopes_hold_behind_a_prefix_and_for_every_spelling(settings: dict[str, Any], serving: Any) -> None:
    chat, _ = KeyFile(Path(settings["state"]) / "keys.json").create("chat", ["chat"])
    async with serving(settings, root_path="/llm") as client:
        for path in (
            "/llm/v1/jobs",
            "/llm//v1/jobs",
            "/llm/v1/jobs/",
            "/llm/v1/./jobs",
            "/llm/v1/pipelines",
            "/v1/jobs",
        ):
            answer = await client.get(path, headers=bearer(chat))
            assert answer.status_code in (403, 404), path
            assert "data" not in answer.json()
        submitted = await client.post("/llm/v1/jobs", json={"pipeline": "profile"}, headers=bearer(chat))
        assert submitted.status_code == 403
        assert (await client.get("/llm/v1/models", headers=bearer(chat))).status_code == 200


def test_every_route_names_its_scope(settings: dict[str, Any], configure: Any) -> None:
    runtime = ServiceRuntime(configure(settings))
    with runtime:
        routes = application(runtime).app.routes  # type: ignore[attr-defined]
        assert len(routes) > 15
        for route in routes:
            assert isinstance(route, ScopedRoute), route
            assert (route.openapi_extra or {}).get("x-collegium-scope") in {*SCOPES, OPEN, ANY}, route.path


async def test_a_route_without_a_scope_is_denied_to_everybody(settings: dict[str, Any], configure: Any) -> None:
    key = KeyFile(Path(settings["state"]) / "keys.json").create("all")[0]
    runtime = ServiceRuntime(configure(settings))
    app = application(runtime)
    app.app.add_api_route("/v1/forgotten", lambda: {"secret": 1})  # type: ignore[attr-defined]
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/v1/forgotten", headers=bearer(key))).status_code == 403
    await runtime.close()


@pytest.mark.parametrize(
    ("peer", "status"),
    [
        ("127.0.0.1", 200),
        ("::1", 200),
        ("::ffff:127.0.0.1", 200),
        ("10.1.2.3", 403),
        ("::ffff:10.1.2.3", 403),
        ("x", 403),
    ],
)
async def test_without_keys_the_peers_address_counts(
    settings: dict[str, Any], serving: Any, peer: str, status: int
) -> None:
    async with serving(settings, peer=peer) as client:
        for headers in ({}, {"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"}):
            assert (await client.get("/v1/models", headers=headers)).status_code == status


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


def test_nobody_else_is_served_without_keys(tmp_path: Path) -> None:
    keys = Keys(KeyFile(tmp_path / "keys.json"))
    check_address("127.0.0.1", keys)
    with pytest.raises(ConfigError, match="no API keys"):
        check_address("0.0.0.0", keys)
    KeyFile(tmp_path / "keys.json").create("someone")
    check_address("0.0.0.0", Keys(KeyFile(tmp_path / "keys.json")))


@pytest.mark.parametrize("content", ["{", "[1]", '[{"id": "x"}]', '{"a": 1}'])
def test_a_broken_file_of_keys_lets_nobody_in(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys.json").write_text(content)
    with pytest.raises(ConfigError, match=r"keys\.json"):
        Keys(KeyFile(tmp_path / "keys.json"))


def test_keys_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("collegium.yaml").write_text("experts: {a: {script: 'x:y'}}\nstate: state\n")

    def call(*words: str) -> Any:
        result = CliRunner().invoke(group, ["keys", *words, "--json"])
        if result.exception:
            raise result.exception
        return json.loads(result.stdout)

    made = call("create", "ann", "--scopes", "chat,jobs", "--requests-per-minute", "5")
    assert made["key"].startswith("clg_")
    (row,) = call("list")
    assert (row["name"], row["scopes"], row["requests_per_minute"]) == ("ann", ["chat", "jobs"], 5)
    assert "hash" not in row
    call("revoke", made["id"])
    assert call("list") == []
    with pytest.raises(BadInput, match="no scope 'root'"):
        call("create", "eve", "--scopes", "root")
    with pytest.raises(BadInput, match="no key"):
        call("revoke", "nothing")


async def test_only_localhost_is_answered_without_keys(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/models", headers={"Host": "evil.example"})).status_code == 403
    assert (await client.get("/v1/models", headers={"Host": "localhost:8000"})).status_code == 200
    assert (await client.get("/v1/models", headers={"Host": "testserver"})).status_code == 403


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{", "JSON"),
        (b"\xff\xfe", ""),
        (b'{"model": "\xff"}', ""),
        (b"[" * 100_000, ""),
        (b'{"model": ' * 10_000, ""),
        (b'{"messages": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", ""),
        (b'{"model": "words", "messages": [{"role": "user", "content": "\\ud800"}]}', "Unicode"),
        (b'{"model": "words", "messages": [{"role": "user", "content": "x"}], "temperature": NaN}', "temperature"),
        (b'{"model": "words", "messages": [{"role": "user", "content": "x"}], "seed": 1' + b"0" * 5000 + b"}", ""),
        (b'{"model": "' + b"m" * 10_000 + b'", "messages": [{"role": "user", "content": "x"}]}', "model"),
        (b"null", ""),
        (b"", ""),
    ],
)
async def test_malformed_bodies_are_the_clients_fault(client: httpx.AsyncClient, content: bytes, told: str) -> None:
    response = await client.post("/v1/chat/completions", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 400, response.text
    assert told in response.json()["error"]["message"]
    assert len(response.content) < 2000


async def test_a_body_of_another_type_is_refused(client: httpx.AsyncClient) -> None:
    for kind in ("text/plain", "multipart/form-data", "x"):
        response = await client.post("/v1/chat/completions", content=b'{"a": 1}', headers={"Content-Type": kind})
        assert response.status_code == 415, response.text
        assert "application/json" in response.json()["error"]["message"]


async def test_bodies_are_bounded(settings: dict[str, Any], serving: Any) -> None:
    settings["service"]["body_mib"] = 0.01
    async with serving(settings) as client:
        big = {**CHAT, "messages": [{"role": "user", "content": "x" * 20_000}]}
        assert (await client.post("/v1/chat/completions", json=big)).status_code == 413

        async def chunks() -> Any:
            for _ in range(100):
                yield b" " * 1000

        assert (await client.post("/v1/chat/completions", content=chunks())).status_code == 413


def test_slow_bodies_are_cut_off(settings: dict[str, Any], on_socket: Any) -> None:
    settings["service"]["body_seconds"] = 0.3
    with on_socket(settings) as url, socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as raw:
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        raw.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        started = time.monotonic()
        answer = raw.recv(4096)
        assert answer.startswith(b"HTTP/1.1 408")
        assert time.monotonic() - started < 3


async def test_request_ids_are_echoed_or_made(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health", headers={"X-Request-Id": "mine-1"})).headers["x-request-id"] == "mine-1"
    assert (await client.get("/health", headers={"X-Request-Id": "a b"})).headers["x-request-id"] != "a b"


async def test_the_request_log_is_one_json_line(
    settings: dict[str, Any], serving: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings["service"]["log"] = "json"
    with caplog.at_level("INFO", "collegium.requests"):
        async with serving(settings) as client:
            await client.post("/v1/chat/completions", json=CHAT, headers={"X-Request-Id": "r1"})
    (line,) = [json.loads(record.message) for record in caplog.records if record.name == "collegium.requests"]
    assert (line["request_id"], line["status"], line["model"], line["completion_tokens"]) == ("r1", 200, "words", 5)
    assert "Which" not in caplog.text


async def test_the_log_line_of_a_refusal_says_why(
    settings: dict[str, Any], serving: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings["service"]["log"] = "json"
    with caplog.at_level("INFO", "collegium.requests"):
        async with serving(settings) as client:
            await client.post("/v1/chat/completions", json={**CHAT, "temperature": 9})
            await client.get("/v1/nothing")
            await client.get("/v1/models", headers={"Host": "evil.example"})
    lines = [json.loads(record.message) for record in caplog.records if record.name == "collegium.requests"]
    assert [(line["status"], line["code"], line["param"]) for line in lines] == [
        (400, "invalid", "temperature"),
        (404, None, None),
        (403, "host", None),
    ]
    assert lines[0]["error"].startswith("temperature: ")


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


async def test_paths_are_found_as_people_write_them(client: httpx.AsyncClient) -> None:
    for path in ("/v1/chat/completions", "/chat/completions", "/v1/chat/completions/", "/chat/completions/"):
        assert (await client.post(path, json=CHAT)).status_code == 200, path
    for path in ("/models", "/v1/models/", "/models/words", "/v1/models/words/"):
        assert (await client.get(path)).status_code == 200, path
    head = await client.head("/v1/models")
    assert (head.status_code, head.content) == (200, b"")


async def test_unknown_paths_and_methods_say_what_to_do(client: httpx.AsyncClient) -> None:
    missing = await client.post("/v1/chat/completion", json=CHAT)
    assert (missing.status_code, missing.json()["error"]["type"]) == (404, "not_found_error")
    assert "did you mean /v1/chat/completions?" in missing.json()["error"]["message"]
    for path in ("/v1/chat/completions", "/chat/completions"):
        wrong = await client.get(path)
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
        assert wrong.json()["error"]["message"] == "/v1/chat/completions is not for GET; use POST"


async def test_keys_as_other_clients_send_them(settings: dict[str, Any], serving: Any) -> None:
    text, _ = KeyFile(Path(settings["state"]) / "keys.json").create("all")
    async with serving(settings) as client:
        for header in ("x-api-key", "api-key"):
            assert (await client.get("/v1/models", headers={header: text})).status_code == 200
            assert (await client.get("/v1/models", headers={header: "wrong"})).status_code == 401
            both = {header: text, "Authorization": "Bearer wrong"}
            assert (await client.get("/v1/models", headers=both)).status_code == 401


async def test_pages_of_named_origins_may_use_it(settings: dict[str, Any], serving: Any) -> None:
    KeyFile(Path(settings["state"]) / "keys.json").create("all")
    page = {"Origin": "https://chat.example", "Access-Control-Request-Method": "POST"}
    page["Access-Control-Request-Headers"] = "authorization, content-type"
    async with serving(settings) as client:
        asked = await client.options("/v1/chat/completions", headers=page)
        assert "access-control-allow-origin" not in asked.headers
    settings["service"]["cors"] = ["https://chat.example"]
    async with serving(settings) as client:
        asked = await client.options("/v1/chat/completions", headers=page)
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, "https://chat.example")
        refused = await client.get("/v1/models", headers={"Origin": "https://chat.example"})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "https://chat.example")
        other = await client.get("/v1/models", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


def test_spans_follow_the_conventions(settings: dict[str, Any]) -> None:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from orchestrator.service.chat_events import UsageEvent
    from orchestrator.service.tracing import Tracing

    provider, told = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(told))
    tracing = Tracing(True)
    tracing._tracer = trace.get_tracer("test", tracer_provider=provider)
    tracing.chat("words").end(UsageEvent(3, 5), "200")
    (span,) = told.get_finished_spans()
    assert span.name == "chat words"
    assert span.attributes
    assert span.attributes["gen_ai.usage.output_tokens"] == 5
    Tracing(False).chat("words").end(None, "500")
