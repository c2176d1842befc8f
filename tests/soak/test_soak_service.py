"""The service under abuse: kills at random moments, malformed requests by the thousand, foreign tools as judges."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

pytestmark = pytest.mark.soak
KILLS = 10
"""A way of serving: 20 in all."""
BACK = 120
"""Seconds within which a hundred chats are answered after the last kill."""
MALFORMED = 10_000
RETRIABLE = {429, 503}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Served:
    """`collegium serve` as a process of its own, started anew when it is gone."""

    def __init__(self, folder: Path, *flags: str, in_process: bool = False) -> None:
        config = {
            "experts": {
                "echo": {"script": "orchestrator.inference.engines.scripted:echo"},
                "slow": {"script": "replies:lingering"},
            },
            "workers": {"engine": "scripted", "in_process": in_process} | ({} if in_process else {"cpus": 0.2}),
            "state": str(folder / "state"),
            "runs": str(folder / "runs"),
            "service": {"log": "none", "max_wait": 60.0, "body_seconds": 2.0},
        }
        self.folder = folder
        (folder / "collegium.yaml").write_text(yaml.safe_dump(config))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._flags = flags
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "orchestrator", "serve", "--config", "collegium.yaml"]
        command += ["--port", str(self.port)]
        log = (self.folder / "log").open("ab")
        with log:
            self.process = subprocess.Popen([*command, *self._flags], cwd=self.folder, stdout=log, stderr=log)
        return self.process

    def wait(self, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:  # what answers now is what Ray has not yet ended
                time.sleep(1)
                self.start()
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/health/ready", timeout=5).status_code == 200 and self.process.poll() is None:
                    return
            time.sleep(0.2)
        raise AssertionError((self.folder / "log").read_text()[-3000:])

    def victims(self) -> dict[str, list[psutil.Process]]:
        """What can be killed, by what it is."""
        found: dict[str, list[psutil.Process]] = {"server": [psutil.Process(self.process.pid)]}
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                title = " ".join(child.cmdline())
                for kind in ("WorkerActor", "ServeReplica", "SchedulerActor"):
                    if title.startswith("ray::") and kind in title:
                        found.setdefault(kind, []).append(child)
        return found

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(90)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("flags", [(), ("--ray",)], ids=["uvicorn", "ray"])
async def test_kills_at_random_moments_lose_nothing(tmp_path: Path, flags: tuple[str, ...]) -> None:
    served = Served(tmp_path, *flags)
    chooser = random.Random(0)
    outcomes: Counter[str] = Counter()
    stopping = asyncio.Event()
    try:
        served.wait()
        async with httpx.AsyncClient(base_url=served.url, timeout=60) as client:
            job = {"pipeline": "profile", "request": {"task": "arithmetic", "questions": 300, "experts": ["slow"]}}
            made = (await client.post("/v1/jobs", json=job)).json()["id"]

            async def chat(name: int) -> None:
                number = 0
                while not stopping.is_set():
                    number += 1
                    text = f"client {name} number {number}"
                    outcomes[await ask(client, text, stream=bool(number % 2))] += 1
                    await asyncio.sleep(0.02)

            chatting = [asyncio.create_task(chat(name)) for name in range(8)]
            killed: Counter[str] = Counter()
            for _ in range(KILLS):
                await asyncio.sleep(chooser.uniform(0.5, 4))
                victims = served.victims()
                kind = chooser.choice(sorted(victims))
                with contextlib.suppress(psutil.Error):
                    chooser.choice(victims[kind]).kill()
                killed[kind] += 1
                if kind == "server":
                    served.process.wait()
                    await asyncio.to_thread(served.wait)
            await asyncio.to_thread(served.wait)
            # What was ready may have been the rest of a cluster whose head is gone: it comes back all the same.
            end, before = time.monotonic() + BACK, outcomes["answered"]
            while outcomes["answered"] < before + 100:
                assert time.monotonic() < end, (outcomes, killed)
                await asyncio.sleep(0.5)
            stopping.set()
            await asyncio.gather(*chatting)
            assert not [what for what in outcomes if what not in ("answered", "retriable", "broken")], outcomes
            end = time.monotonic() + 240
            while (found := (await client.get(f"/v1/jobs/{made}")).json())["status"] in ("queued", "running"):
                assert time.monotonic() < end, found
                await asyncio.sleep(0.5)
            assert found["status"] == "succeeded", found
    finally:
        served.stop()
    for name in ("ledger.sqlite", "jobs.sqlite"):
        with contextlib.closing(sqlite3.connect(tmp_path / "state" / name)) as store:
            assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    print(f"{outcomes=} {killed=}")


async def ask(client: httpx.AsyncClient, text: str, stream: bool) -> str:
    """answered (rightly, once), retriable, or broken (the connection); else what went wrong."""
    body = {"model": "echo", "temperature": 0, "messages": [{"role": "user", "content": text}], "stream": stream}
    try:
        response = await client.post("/v1/chat/completions", json=body)
    except httpx.TransportError:
        return "broken"
    if response.status_code in RETRIABLE:
        return "retriable"
    if response.status_code == 404 and not _ours(response) and "/-/routes" in response.text:
        return "retriable"  # Ray Serve listens before the application is deployed
    if response.status_code != 200:
        return "retriable" if response.status_code in (500, 502, 504) and not _ours(response) else response.text
    if not stream:
        said = response.json()["choices"][0]["message"]["content"]
        return "answered" if said == text else f"said {said!r} for {text!r}"
    lines = [line[6:] for line in response.text.split("\n\n") if line.startswith("data: {")]
    events = [json.loads(line) for line in lines]
    if any("error" in event for event in events):
        return "retriable"
    said = "".join(event["choices"][0]["delta"].get("content", "") for event in events if event["choices"])
    if not response.text.endswith("[DONE]\n\n"):
        return "broken"
    return "answered" if said == text else f"said {said!r} for {text!r}"


def _ours(response: httpx.Response) -> bool:
    """Whether the application answered, or Ray Serve's proxy for a replica that is gone."""
    return "x-request-id" in response.headers and response.headers["x-request-id"].startswith("req-")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path, in_process=True)
    made.wait()
    yield made
    made.stop()


@pytest.mark.timeout(900)
def test_malformed_requests_do_no_harm(served: Served) -> None:
    chooser = random.Random(1)
    process = psutil.Process(served.process.pid)
    statuses: Counter[int] = Counter()
    with httpx.Client(base_url=served.url, timeout=30) as client:
        for number in range(MALFORMED):
            if number == MALFORMED // 5:
                settled = process.memory_info().rss
            if number % 50 == 0:
                raw(served.port, chooser)
                continue
            method, path, content, headers = malformed(chooser)
            try:
                response = client.request(method, path, content=content, headers=headers)
            except (httpx.TransportError, httpx.InvalidURL, UnicodeError, ValueError):
                statuses[0] += 1
                continue
            statuses[response.status_code] += 1
            assert response.status_code < 500, (method, path, content[:200], response.text[:300])
            assert "Traceback" not in response.text
        grown = process.memory_info().rss - settled
        assert client.get("/health").status_code == 200
    print(f"{statuses=} grown by {grown / 2**20:.1f} MiB")
    assert grown < 64 * 2**20


def malformed(chooser: random.Random) -> tuple[str, str, bytes, dict[str, str]]:
    """A request that is wrong in some way."""
    paths = ["/v1/chat/completions", "/v1/jobs", "/v1/route", "/v1/feedback", "/v1/jobs/../../etc/passwd"]
    paths += ["/v1/jobs/%2e%2e%2f%2e%2e/files/%00", "/v1/models/" + "x" * 3000, "//v1//models", "/v1/jobs?limit=1e9"]
    paths += ["/v1/jobs/job-1/files/..%2f..%2fstate%2fkeys.json", "/openapi.json/..", f"/{chooser.random()}"]
    good: dict[str, Any] = {"model": "echo", "messages": [{"role": "user", "content": "x"}]}
    values: list[Any] = [None, -1, 10**400, 1.5, "", "\ud800", [], {}, [[]], True, "a" * 5000, {"a": {"b": []}}, 1e308]
    broken = dict(good)
    for _ in range(chooser.randrange(1, 4)):
        broken[chooser.choice([*CHAT_FIELDS, "surprise"])] = chooser.choice(values)
    depth = chooser.choice((10, 500, 5_000, 100_000))
    function = {"name": "f", "parameters": {"type": "object"}, "arguments": "{}"}
    function[chooser.choice(list(function))] = chooser.choice(values)
    call = {"id": chooser.choice(["c", *values]), "type": "function", "function": function}
    calling = {
        "role": chooser.choice(["assistant", "tool"]),
        "tool_calls": [call],
        "tool_call_id": chooser.choice(values),
    }
    told: list[Any] = [calling, *good["messages"]]
    demand = chooser.choice(["required", "auto", "none", {"type": "function", "function": {"name": "f"}}])
    contents = [
        json.dumps(broken).encode("utf-8", "surrogatepass"),
        json.dumps({**good, "messages": chooser.choice(values)}).encode("utf-8", "surrogatepass"),
        json.dumps({**good, "tools": [call], "tool_choice": demand}).encode("utf-8", "surrogatepass"),
        json.dumps({**good, "messages": told, "tools": [call]}).encode("utf-8", "surrogatepass"),
        b"[" * depth + b"]" * depth,
        b'{"model": ' * min(depth, 10_000),
        chooser.randbytes(chooser.randrange(300)),
        b'{"model": "echo", "messages": [{"role": "user", "content": "' + chooser.randbytes(50) + b'"}]}',
        b'{"temperature": NaN, "seed": Infinity}',
        json.dumps(good).encode()[: chooser.randrange(40)],
    ]
    headers = {"Content-Type": chooser.choice(["application/json", "text/plain", "multipart/form-data", "x"])}
    if chooser.random() < 0.2:
        headers["X-Request-Id"] = chooser.choice(["a" * 5000, "x y", "é".encode().decode("latin-1"), "{}"])
    if chooser.random() < 0.2:
        headers["Idempotency-Key"] = chooser.choice(["", "k" * 1000, "k"])
    if chooser.random() < 0.7:
        headers["Content-Type"] = "application/json"
        return "POST", chooser.choice(paths[:4]), chooser.choice(contents), headers
    method = chooser.choice(["POST", "GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
    return method, chooser.choice(paths), chooser.choice(contents), headers


CHAT_FIELDS = ("model", "messages", "n", "stop", "seed", "temperature", "top_p", "max_tokens", "logprobs", "collegium")
CHAT_FIELDS += ("top_logprobs", "response_format", "stream", "stream_options", "tools", "user", "metadata")
CHAT_FIELDS += ("tool_choice", "parallel_tool_calls")


def raw(port: int, chooser: random.Random) -> None:
    """Bytes that are hardly HTTP; the connection may be closed on us, and nothing more."""
    texts = [
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\nInjected: b\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{",
        b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: a\r\n b\r\n\r\n",
        b"\x16\x03\x01" + chooser.randbytes(100),
        b"GET " + b"/a" * 40_000 + b" HTTP/1.1\r\n\r\n",
        b"A" * 100_000,
    ]
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(chooser.choice(texts))
        if chooser.random() < 0.5:
            connection.settimeout(0.05)
            answer = connection.recv(4096)
            assert b"HTTP/1.1 5" not in answer, answer


@pytest.mark.timeout(900)
def test_schemathesis_finds_no_server_error(served: Served) -> None:
    if not (command := shutil.which("schemathesis") or os.environ.get("SCHEMATHESIS")):
        pytest.skip("schemathesis is not installed (or name it in SCHEMATHESIS)")
    run = [command, "run", f"{served.url}/openapi.json", "--checks", "not_a_server_error", "--max-examples", "100"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=800, check=False)
    print(done.stdout[-2000:])
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.timeout(900)
def test_lm_eval_runs_against_it(served: Served, tmp_path: Path) -> None:
    if not (command := shutil.which("lm-eval") or os.environ.get("LM_EVAL")):
        pytest.skip("lm-eval is not installed (or name it in LM_EVAL)")
    questions = tmp_path / "questions.json"
    questions.write_text(json.dumps([{"question": f"say {n}", "answer": f"say {n}"} for n in range(20)]))
    (tmp_path / "echoed.yaml").write_text(
        "task: echoed\ndataset_path: json\n"
        f"dataset_kwargs: {{data_files: {{test: {questions}}}}}\n"
        "test_split: test\noutput_type: generate_until\ndoc_to_text: '{{question}}'\ndoc_to_target: '{{answer}}'\n"
        "generation_kwargs: {until: ['\\n'], max_gen_toks: 16}\nmetric_list: [{metric: exact_match}]\n"
    )
    arguments = f"model=echo,base_url={served.url}/v1/chat/completions,num_concurrent=4,tokenized_requests=False"
    run = [command, "--model", "local-chat-completions", "--model_args", arguments, "--tasks", "echoed"]
    run += ["--include_path", str(tmp_path), "--apply_chat_template"]
    environment = {**os.environ, "OPENAI_API_KEY": "none", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(run, capture_output=True, text=True, timeout=800, check=False, env=environment)
    print(done.stdout[-2000:])
    assert done.returncode == 0, done.stderr[-4000:]
    assert "exact_match" in done.stdout


@pytest.mark.timeout(900)
def test_vllm_bench_serve_runs_against_it(served: Served) -> None:
    pytest.importorskip("vllm")
    from orchestrator.experts.demo import FULL, locate

    program = (
        "import argparse; from vllm.benchmarks.serve import add_cli_args, main\n"
        "parser = argparse.ArgumentParser(); add_cli_args(parser); main(parser.parse_args())"
    )
    run = [sys.executable, "-c", program, "--backend", "openai-chat", "--endpoint", "/v1/chat/completions"]
    run += ["--base-url", served.url, "--model", "echo", "--tokenizer", str(locate(FULL)), "--dataset-name", "random"]
    run += ["--random-input-len", "32", "--random-output-len", "16", "--num-prompts", "200", "--max-concurrency", "32"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
    done = subprocess.run(run, capture_output=True, text=True, timeout=800, check=False, env=environment)
    print(done.stdout[-2000:])
    assert done.returncode == 0, done.stderr[-4000:]
    (successful,) = [line.split()[-1] for line in done.stdout.splitlines() if "Successful requests" in line]
    assert successful == "200"
