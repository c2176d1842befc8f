"""Malformed requests over every route of the service: none may give a 5xx, and the service answers well afterwards.

python -m benchmarks.soak_requests [--seed N] [--requests N]

Scripted experts, in this process, without a socket. Paths come from the service's own description; each is asked with
and without `/v1`, with a trailing slash, by wrong methods, with good, bad and missing keys, and with broken bodies.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from benchmarks.machine import conditions, write_result
from orchestrator.config import validate
from orchestrator.service.application import application
from orchestrator.service.keys import KeyFile
from orchestrator.service.runtime import ServiceRuntime

GOOD: dict[str, dict[str, Any]] = {
    "chat/completions": {"model": "words", "messages": [{"role": "user", "content": "a"}], "max_tokens": 5},
    "completions": {"model": "words", "prompt": "a", "max_tokens": 5},
    "messages": {"model": "words", "messages": [{"role": "user", "content": "a"}], "max_tokens": 5},
    "responses": {"model": "words", "input": "a"},
    "embeddings": {"model": "words", "input": "a"},
    "route": {"questions": ["a"]},
    "feedback": {"question": "a", "expert": "words", "score": 1},
    "tokenize": {"model": "words", "prompt": "a"},
    "detokenize": {"model": "words", "tokens": [1]},
    "batches": {"input_file_id": "file-x", "endpoint": "/v1/chat/completions", "completion_window": "24h"},
    "jobs": {"pipeline": "merge", "request": {"recipe": {}, "out": "x"}},
}
ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    2**70,
    "",
    "x",
    "\x00",
    "\U0001f600",
    [],
    [None],
    [[]],
    {},
    {"": {}},
    {"a": [1]},
]
ODD += [{"type": "x"}, {"$ref": "#/x"}, "../../etc/passwd", "x" * 5000, [1] * 500, 1e308, -(2**63)]
FIELDS = ["temperature", "n", "stop", "seed", "tools", "tool_choice", "response_format", "stream", "logprobs"]
FIELDS += ["guided_json", "guided_regex", "logit_bias", "metadata", "previous_response_id", "collegium", "odd\nkey"]
RAW = [b"", b"{", b"[]", b"null", b"\xff\xfe", b'"\\ud800"', b"[" * 5000, b'{"a":NaN}', b"1e999", b'{"a":1,"a":2}']
METHODS = ["PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "ODD"]
IDS = ["x", "file-1", "%00", "%2e%2e", "..%2f..", "a" * 300, "output-x", "%ff", "words", "\u00e9"]


def body(rng: random.Random, path: str) -> bytes:
    """A good body with up to three odd values, or bytes that are none."""
    if rng.random() < 0.15:
        return rng.choice(RAW)
    name = next((name for name in GOOD if path.strip("/").removeprefix("v1/") == name), rng.choice(list(GOOD)))
    made = copy.deepcopy(GOOD[name])
    for _ in range(rng.randrange(4)):
        where: Any = made
        while isinstance(where, dict) and where and rng.random() < 0.4:
            inner = [value for value in where.values() if isinstance(value, dict) and value]
            inner += [
                one for value in where.values() if isinstance(value, list) for one in value if isinstance(one, dict)
            ]
            if not inner:
                break
            where = rng.choice(inner)
        where[rng.choice([*where, *FIELDS])] = copy.deepcopy(rng.choice(ODD))
    return json.dumps(made).encode()


def asked(rng: random.Random, paths: dict[str, list[str]], keys: list[str]) -> tuple[str, str, dict[str, str], bytes]:
    """Method, path, headers and body of one request."""
    path = rng.choice(list(paths))
    method = rng.choice(paths[path] if rng.random() < 0.85 else METHODS)
    for name in ("{id}", "{name}"):
        path = path.replace(name, rng.choice(IDS))
    path = path.removeprefix("/v1") if rng.random() < 0.2 else path
    path += rng.choice(["", "", "", "", "", "", "/", "//", "?limit=x", "?after=%00&limit=-1", "?limit=5"])
    headers = {"content-type": rng.choice(["application/json"] * 6 + ["text/plain", "multipart/form-data", "x"])}
    key = rng.choice([*keys * 9, "clg_x_y", ""])
    name, form = rng.choice(
        [*[("authorization", "Bearer {}"), ("x-api-key", "{}")] * 8, ("authorization", "{}"), ("x", "")]
    )
    headers[name] = form.format(key)
    if rng.random() < 0.1:
        odd = ["x-collegium-strict", "idempotency-key", "content-length", "traceparent", "x-request-id", "accept"]
        headers[rng.choice(odd)] = rng.choice(["", "x", "-1", "true", "9" * 400])
    return method, path, headers, body(rng, path)


async def soak(seed: int, count: int, folder: Path) -> tuple[Counter[int], list[str], list[float], int]:
    """(answers by status, requests that got a 5xx or none, seconds of each, paths)."""
    (folder / "odd_soak.py").write_text("def words(messages, seed):\n    return 'Answer: a'\n")
    sys.path.insert(0, str(folder))
    state = folder / "state"
    settings = {
        "experts": {"words": {"script": "odd_soak:words"}},
        "workers": {"engine": "scripted", "in_process": True},
        "state": str(state),
        "runs": str(folder / "runs"),
        "service": {"log": "none"},
    }
    keys = [KeyFile(state / "keys.json").create(name)[0] for name in ("ann", "bob")]
    runtime = ServiceRuntime(validate(settings, folder))
    app = application(runtime)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
    rng = random.Random(seed)
    statuses: Counter[int] = Counter()
    bad: list[str] = []
    seconds: list[float] = []
    client = httpx.AsyncClient(transport=transport, base_url="http://localhost")
    async with app.app.router.lifespan_context(app.app), client:  # type: ignore[attr-defined]
        while not runtime.ready:
            await asyncio.sleep(0.01)
        good = {"authorization": f"Bearer {keys[0]}"}
        described = (await client.get("/openapi.json", headers=good)).json()["paths"]
        paths = {path: [method.upper() for method in methods] for path, methods in described.items()}
        paths |= {"/openapi.json": ["GET"], "/nothing": ["GET", "POST"]}
        for _ in range(count):
            method, path, headers, content = asked(rng, paths, keys)
            begun = time.perf_counter()
            try:
                answer = await asyncio.wait_for(client.request(method, path, headers=headers, content=content), 30)
                statuses[answer.status_code] += 1
                if answer.status_code >= 500:
                    bad.append(f"{answer.status_code} {method} {path} {headers} {content[:300]!r} {answer.text[:200]}")
            except (TimeoutError, httpx.TransportError) as error:
                bad.append(f"{error!r} {method} {path} {headers} {content[:300]!r}")
            seconds.append(time.perf_counter() - begun)
        last = await client.post("/v1/chat/completions", json=GOOD["chat/completions"], headers=good)
        if last.status_code != 200:
            bad.append(f"the last good request: {last.status_code} {last.text[:200]}")
    return statuses, bad, seconds, len(paths)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--requests", type=int, default=10_000)
    options = parser.parse_args()
    noted = conditions()
    with tempfile.TemporaryDirectory() as folder:
        statuses, bad, seconds, paths = asyncio.run(soak(options.seed, options.requests, Path(folder)))
    rows = [
        ("requests", f"{options.requests:,} on {paths} paths, {sum(seconds):.0f} s", ""),
        ("answers by status", ", ".join(f"{status}: {statuses[status]:,}" for status in sorted(statuses)), ""),
        ("5xx, no answer, or a good request refused at the end", str(len(bad)), "0"),
        ("slowest", f"{max(seconds):.2f} s", ""),
    ]
    result = {"conditions": noted, "seed": options.seed, "statuses": statuses, "bad": bad}
    write_result("soak_requests", "Malformed requests", rows, result)
    if bad:
        raise SystemExit("\n".join(bad[:20]))


if __name__ == "__main__":
    main()
