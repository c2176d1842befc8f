"""A client of a service elsewhere, before it is reached."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import httpx
import pytest

from orchestrator import Collegium
from orchestrator.client import RemoteCollegium
from orchestrator.errors import BadInput, ExpertFailed
from orchestrator.pipelines.registry import PIPELINES


def test_the_methods_are_the_same() -> None:
    pipelines = [pipeline.method for pipeline in PIPELINES.values()]
    for name in ("rank", "execute", "close", "distil", *pipelines):
        for one in (name,) if name == "close" else (name, f"a{name}"):
            local, remote = getattr(Collegium, one), getattr(RemoteCollegium, one)
            assert inspect.signature(local) == inspect.signature(remote), one


def test_a_service_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.client.TRIES", 1)
    with pytest.raises(ExpertFailed, match="ConnectError"):
        Collegium.connect("http://127.0.0.1:1").models()
    with pytest.raises(BadInput, match="http://"):
        Collegium.connect("somewhere")


@pytest.mark.parametrize(("task", "uploads"), [("coin_flip", 0), ("mine.jsonl", 1), ("nowhere.jsonl", 0)])
def test_a_file_travels_and_a_tasks_name_is_no_file(
    task: str, uploads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("coin_flip", "mine.jsonl"):
        (tmp_path / name).write_text("{}")
    asked: list[tuple[str, str, bytes]] = []

    def serve(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.url.path, request.content))
        if request.url.path == "/v1/files":
            return httpx.Response(200, json={"data": [], "id": "file-1"})
        return httpx.Response(400, json={"error": {"message": "no", "code": "bad_input"}})

    there = RemoteCollegium("http://service", transport=httpx.MockTransport(serve))
    with pytest.raises(BadInput):
        there.profile(task=task)
    assert sum(method == "POST" and path == "/v1/files" for method, path, _ in asked) == uploads
    (job,) = (body for _, path, body in asked if path == "/v1/jobs")
    assert json.loads(job)["request"]["task"] == ("file-1" if uploads else task)
