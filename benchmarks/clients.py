"""Real clients against the service: each makes the calls that its users make, with its own package.

    python -m benchmarks.clients --python CLIENTS/bin/python [--only NAME,...] [--scripted]

CLIENTS is an environment with openai, openai-agents, langchain-openai, dspy, instructor, litellm, anthropic,
llama-index-llms-openai-like, pydantic-ai-slim[openai] and smolagents[openai]. One that is missing there is reported as
missing, not as passed. The service runs the demo zoo, or scripted experts with --scripted. A program passes when it
prints its result and asserts nothing wrong; nothing is timed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import yaml

from benchmarks.client_programs import PROGRAMS
from benchmarks.machine import conditions, write_result

SCRIPTED = """
import json

def talk(messages, seed):
    text = messages[-1][1]
    if text.startswith("<tool_response>"):
        return "The weather in Ulm is dry."
    if any("<tools>" in content for _, content in messages) and "eather" in text:
        return '<tool_call>{"name": "weather", "arguments": {"city": "Ulm"}}</tool_call>'
    return "The capital of France is Paris."
"""


@contextlib.contextmanager
def service(scripted: bool) -> Iterator[str]:
    """A service of its own; its URL without /v1. The model id is `base`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config: dict[str, object] = {"state": str(folder / "state"), "runs": str(folder / "runs")}
        if scripted:
            (folder / "talking.py").write_text(SCRIPTED)
            config |= {"experts": {"base": {"script": "talking:talk"}, "other": {"script": "talking:talk"}}}
            config |= {"workers": {"engine": "scripted", "in_process": True}}
        else:
            config |= {"zoo": "demo"}
        (folder / "c.yaml").write_text(yaml.safe_dump(config))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "orchestrator", "serve", "--config", "c.yaml", "--port", str(port)]
        path = f"{folder}:{Path(__file__).parents[1]}"
        with (
            (folder / "log").open("w") as log,
            subprocess.Popen(
                command, cwd=folder, stderr=log, stdout=log, env={**os.environ, "PYTHONPATH": path}
            ) as server,
        ):
            url = f"http://127.0.0.1:{port}"
            try:
                for _ in range(1200):
                    with contextlib.suppress(httpx.TransportError):
                        if httpx.get(f"{url}/health/ready").status_code == 200:
                            break
                    if server.poll() is not None:
                        raise SystemExit((folder / "log").read_text()[-2000:])
                    time.sleep(0.1)
                yield url
            finally:
                server.terminate()
                server.wait(60)


def outcome(python: str, url: str, program: str) -> tuple[str, str]:
    """(passed, failed or missing; its last line)."""
    try:
        done = subprocess.run(
            [python, "-c", program, url],
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
            cwd=tempfile.gettempdir(),
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        )
    except subprocess.TimeoutExpired:
        return "failed", "no end within 180 s"
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines() or [""]
    if done.returncode == 0:
        return "passed", lines[-1]
    return ("missing" if "ModuleNotFoundError" in done.stderr else "failed"), lines[-1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--only", default=",".join(PROGRAMS))
    parser.add_argument("--scripted", action="store_true")
    asked = parser.parse_args()
    found: dict[str, tuple[str, str]] = {}
    with service(asked.scripted) as url:
        for name in asked.only.split(","):
            found[name] = outcome(asked.python, url, PROGRAMS[name])
            print(f"{name}: {' '.join(found[name])}", flush=True)
    rows = [(name, f"{status}: {line[:160]}".replace("|", "/"), "passed") for name, (status, line) in found.items()]
    if asked.only == ",".join(PROGRAMS):
        result = {"conditions": conditions(), "clients": {name: list(one) for name, one in found.items()}}
        write_result("clients", "Real clients against the service", rows, result)
    return sum(status == "failed" for status, _ in found.values())


if __name__ == "__main__":
    sys.exit(main())
