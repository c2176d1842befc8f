"""The application under uvicorn, in this process."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable

from orchestrator.config import Config
from orchestrator.errors import BadInput, CollegiumError
from orchestrator.service import tracing
from orchestrator.service.application import application
from orchestrator.service.connections import MAX_HEAD, bounded_protocol
from orchestrator.service.runtime import ServiceRuntime, check_address

_log = logging.getLogger("collegium")
PRIVATE = 0o077
"""The service's umask: what it writes, run folders and uploads too, is for its own user only."""


def serve(config: Config, reread: Callable[[], Config] | None = None) -> None:
    """Listen until SIGTERM or Ctrl-C; then let the chats under way end. SIGHUP has `reread` read the configuration
    again, and the keys. Raises what bad input raises, before
    anything heavy starts."""
    import uvicorn

    service = config.service
    log_to_stderr()
    if service.tracing:
        tracing.export()
    listening = _listen(service.host, service.port)
    os.umask(PRIVATE)
    runtime = ServiceRuntime(config, reread=reread, warm=True)
    check_address(service.host, runtime.keys)
    server = uvicorn.Server(
        uvicorn.Config(
            application(runtime),
            http=bounded_protocol(
                service.head_seconds, int(max(service.body_mib, service.file_mib) * 2**20), service.send_seconds
            ),
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,  # the peer's address counts, not a header that anybody can send
            timeout_keep_alive=30,
            timeout_graceful_shutdown=int(service.drain_seconds),
            h11_max_incomplete_event_size=MAX_HEAD,
        )
    )
    models = f"{', '.join(runtime.collegium.experts)}, mixture, ..."
    _log.info("http://%s:%s/v1: models %s", *listening.getsockname()[:2], models)
    signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=_reload, args=(runtime,), daemon=True).start())
    server.run(sockets=[listening])


def _reload(runtime: ServiceRuntime) -> None:
    try:
        found = runtime.reload()
    except CollegiumError as error:
        _log.error("reload: %s", error)
    else:
        _log.info("reload: keys read; changed settings: %s", ", ".join(found) or "none")


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises `BadInput`, before anything is started, where that is not possible."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        why = error.strerror or str(error)
        raise BadInput(
            f"service: cannot listen on {host}:{port}: {why}; choose another with --port or --host"
        ) from error


def log_to_stderr() -> None:
    """The service's own lines as they are, other libraries' only from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    for name, level in (("collegium", logging.INFO), ("uvicorn.error", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.handlers[:] = [handler]
        logger.propagate = False
