"""`collegium submit`: follows the job and brings its folders home."""

from __future__ import annotations

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.cli import group
from orchestrator.errors import BadInput
from tests.scripts.fake_ray import FakeRay, submission


def test_the_command_follows_the_job_and_brings_its_folders_home(
    ray: FakeRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.cli.submit._client", lambda address: ray)
    words = ["run", "--task", "mixed", "--config", "mine.yaml"]
    there = Path(os.path.expanduser(submission(ray, *words).runs)) / "run-1"
    there.mkdir(parents=True)
    (there / "results.json").write_text("{}")
    result = CliRunner().invoke(group, ["submit", "--address", "http://x:1", "--env", "A=b", "--", *words])
    assert result.exit_code == 0, (result.output, result.exception)
    assert "one\ntwo\n" in result.output
    assert (tmp_path / "runs/run-1/results.json").exists()
    with pytest.raises(BadInput, match="NAME=VALUE"):
        raise CliRunner().invoke(group, ["submit", "--address", "x", "--env", "A", "--", "run"]).exception  # type: ignore[misc]


class AsksForAToken(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(401)
        self.end_headers()
        self.wfile.write(b"Unauthorized: Missing authentication token")

    def log_message(self, *_: object) -> None:
        pass


def test_a_cluster_that_asks_for_a_token_is_told_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), AsksForAToken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        result = CliRunner().invoke(group, ["submit", "--address", address, "--", "run"])
        server.shutdown()
    assert isinstance(result.exception, BadInput)
    assert "Missing authentication token; set RAY_AUTH_MODE=token" in str(result.exception)
    assert "\n" not in str(result.exception)
