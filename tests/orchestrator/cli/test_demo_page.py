"""The demo's end: the page on its own runs."""

from __future__ import annotations

import io
import socket
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.cli import demo_page
from orchestrator.cli.demo_page import end_with_page, free_port
from orchestrator.config import Config, validate


def configured(tmp_path: Path, port: int) -> Config:
    experts = {"one": {"script": "orchestrator.inference.engines.scripted:echo"}}
    workers = {"engine": "scripted", "in_process": True}
    return validate({"experts": experts, "workers": workers, "service": {"port": port}}, tmp_path / "c.yaml")


def test_where_no_page_is_wanted_the_command_is_said(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=200)
    end_with_page(console, configured(tmp_path, 8123), "run-1a", show=False)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "collegium serve --config demo, then http://127.0.0.1:8123/#runs/run-1a" in said


def test_the_page_is_served_at_the_run_and_a_port_in_use_is_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.service import serve as module

    served: list[int] = []
    monkeypatch.setattr(module, "serve", lambda config: served.append(config.service.port))
    monkeypatch.setattr(demo_page.signal, "signal", lambda *_: None)
    console = Console(file=io.StringIO(), width=200)
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        end_with_page(console, configured(tmp_path, taken), "run-1a", show=True)
    assert served
    assert served[0] != taken
    assert f"http://127.0.0.1:{served[0]}/#runs/run-1a" in console.file.getvalue()  # type: ignore[attr-defined]
    assert free_port("127.0.0.1", served[0]) == served[0]
