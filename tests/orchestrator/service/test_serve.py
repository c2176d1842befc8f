"""Starting to listen."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from orchestrator.config import validate
from orchestrator.errors import BadInput
from orchestrator.service.serve import serve


def test_a_port_in_use_is_refused_before_anything_starts(settings: dict[str, Any], tmp_path: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings["service"]["port"] = port
        with pytest.raises(BadInput, match=f"cannot listen on 127.0.0.1:{port}") as refused:
            serve(validate(settings, tmp_path / "c.yaml"))
    assert refused.value.exit_code == 2
    assert not (tmp_path / "state").exists()
