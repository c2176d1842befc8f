"""Starting to listen."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.config import validate
from orchestrator.errors import BadInput
from orchestrator.service.keys import KeyFile
from orchestrator.service.serve import serve


def test_a_port_in_use_is_refused_before_anything_starts(settings: dict[str, Any], tmp_path: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings["service"]["port"] = port
        with pytest.raises(BadInput, match=f"cannot listen on 127.0.0.1:{port}") as refused:
            serve(validate(settings, tmp_path / "c.yaml"))
    assert refused.value.exit_code == 2
    assert not (tmp_path / "state").exists()


def test_a_running_service_reads_settings_and_keys_again_and_never_opens(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    """A real process, real signals, and a key file that is damaged, emptied and deleted under it."""
    file, config, log = KeyFile(tmp_path / "keys.json"), tmp_path / "c.yaml", tmp_path / "log"
    key, _ = file.create("someone", ("chat",))
    whole = file.path.read_text()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings["service"] = {"port": port, "keys": str(file.path)}

    def write(**service: Any) -> None:
        config.write_text(json.dumps({**settings, "service": {**settings["service"], **service}}))

    def until(status: int, headers: dict[str, str], **fields: Any) -> None:
        """Ask until this status comes. A service that opens for a moment fails where 200 is not expected."""
        asked = {"model": "words", "messages": [{"role": "user", "content": "word?"}], **fields}
        for _ in range(600):
            with contextlib.suppress(httpx.TransportError):
                seen = httpx.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=asked, headers=headers)
                if seen.status_code == status:
                    return
                assert headers or seen.status_code in (401, 503), "the service has opened"
            assert server.poll() is None, log.read_text()
            time.sleep(0.1)
        raise AssertionError(f"no {status}: {log.read_text()}")

    write()
    bearer = {"Authorization": f"Bearer {key}"}
    path = f"{tmp_path}:{Path(__file__).parents[3]}"
    command = [sys.executable, "-m", "orchestrator", "serve", "--config", str(config)]
    with (
        log.open("w") as out,
        subprocess.Popen(command, stderr=out, stdout=out, env={**os.environ, "PYTHONPATH": path}) as server,
    ):
        try:
            until(200, bearer, user="ann")
            until(401, {})
            assert f"http://127.0.0.1:{port}/v1: models words" in log.read_text()
            files = {"file": ("q.jsonl", b'{"id": "1", "question": "word?", "answer": "red"}\n')}
            everything = {"Authorization": f"Bearer {file.create('all')[0]}"}
            until(200, everything)
            sent = httpx.post(f"http://127.0.0.1:{port}/v1/files", files=files, headers=everything).json()
            job = {"pipeline": "profile", "request": {"task": sent["id"], "split": "test"}}
            assert httpx.post(f"http://127.0.0.1:{port}/v1/jobs", json=job, headers=everything).status_code == 201
            while not list(Path(settings["runs"]).glob("*/*")):
                assert "\njob " not in log.read_text(), log.read_text()
                time.sleep(0.05)
            written = [one for folder in ("state", "runs") for one in Path(settings[folder]).rglob("*")]
            assert len(written) > 5
            assert [one for one in written if stat.S_IMODE(one.lstat().st_mode) & 0o077] == [], "for its owner only"
            write(strict=True)
            server.send_signal(signal.SIGHUP)
            until(400, bearer, user="ann")
            config.write_text("{")
            server.send_signal(signal.SIGHUP)
            while "reload: " not in log.read_text().partition("changed settings: service.strict")[2]:
                time.sleep(0.05)
            until(200, bearer)
            for content, with_key, without in (("", 503, 503), (whole, 200, 401), ("[]", 401, 401), ("{", 503, 503)):
                file.path.write_text(content)
                until(with_key, bearer)
                until(without, {})
            file.path.unlink()
            until(401, bearer)
            until(401, {})
        finally:
            server.terminate()
            assert server.wait(60) in (0, -signal.SIGTERM)
