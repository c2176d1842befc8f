"""How the demo ends: with the page of the service on the demo's own runs."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import sys
import threading
import time
import webbrowser

from rich.console import Console

from orchestrator.config import Config

PATIENCE = 60.0
"""Seconds that the page is waited for before a browser opens it."""


def end_with_page(console: Console, config: Config, run: str, show: bool) -> None:
    """Serve the page until Ctrl-C, opened at this run; without `show` only say how."""
    there = importlib.util.find_spec("fastapi") and importlib.util.find_spec("uvicorn")
    if not show or not there:
        address = f"http://{config.service.host}:{config.service.port}/#runs/{run}"
        console.print(f"Look at its runs, and ask its experts: collegium serve --config demo, then {address}")
        return
    from orchestrator.service.serve import serve

    service = config.service.model_copy(update={"port": free_port(config.service.host, config.service.port)})
    address = f"http://{service.host}:{service.port}/#runs/{run}"
    console.print(f"The page of these runs: {address} (Ctrl-C ends)", soft_wrap=True)
    threading.Thread(target=_open, args=(service.host, service.port, address), daemon=True).start()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the server has its own way to end
    serve(config.model_copy(update={"service": service}))


def free_port(host: str, wanted: int) -> int:
    """The wanted port; another one where it is in use."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return wanted


def _open(host: str, port: int, address: str) -> None:
    """Open a browser as soon as the page can be had, where there is a screen for one."""
    if not (sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            socket.create_connection((host, port), 1).close()
        except OSError:
            time.sleep(0.2)
            continue
        webbrowser.open(address)
        return
