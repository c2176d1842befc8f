"""Chats are tried on the service's scripted experts."""

from tests.orchestrator.service.conftest import (  # noqa: F401  (fixtures)
    client,
    configure,
    on_socket,
    profiled,
    serving,
    settings,
    url,
)
