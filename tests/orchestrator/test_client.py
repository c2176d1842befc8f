"""A client of a service elsewhere, before it is reached."""

from __future__ import annotations

import inspect

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
