"""A service in a process of its own, for benchmarks that come from outside."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml


@contextlib.contextmanager
def served(config: Mapping[str, Any], files: Mapping[str, str] | None = None) -> Iterator[str]:
    """Its URL without /v1, once it is ready; arguments as `served_process`."""
    with served_process(config, files) as (url, _):
        yield url


@contextlib.contextmanager
def served_process(config: Mapping[str, Any], files: Mapping[str, str] | None = None) -> Iterator[tuple[str, int]]:
    """(its URL without /v1, its process id), once it is ready. `files`: name -> content of what lies beside its
    configuration; Python files there can be imported."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in (files or {}).items():
            (folder / file).write_text(content)
        whole = {"state": str(folder / "state"), "runs": str(folder / "runs"), **config}
        (folder / "c.yaml").write_text(yaml.safe_dump(whole))
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
                for _ in range(2400):
                    with contextlib.suppress(httpx.TransportError):
                        if httpx.get(f"{url}/health/ready").status_code == 200:
                            break
                    if server.poll() is not None:
                        raise SystemExit((folder / "log").read_text()[-2000:])
                    time.sleep(0.1)
                else:
                    raise SystemExit("the service was not ready within 240 s")
                yield url, server.pid
            finally:
                server.terminate()
                server.wait(60)


def metric(url: str, name: str) -> float:
    """One number of /metrics, summed over its labels."""
    lines = httpx.get(f"{url}/metrics", timeout=60).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.partition("{")[0].partition(" ")[0] == name)
