"""A local `Collegium` and the service's router are what chats stand on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.chats.protocols import ServiceRouting, Zoo
from orchestrator.chats.routing import Routing
from orchestrator.collegium import Collegium


@pytest.mark.parametrize(("protocol", "made"), [(Zoo, Collegium), (ServiceRouting, Routing)])
def test_whatever_a_protocol_names_is_there(
    protocol: type, made: type, settings: dict[str, Any], tmp_path: Path
) -> None:
    collegium = Collegium(settings)
    instance = collegium if made is Collegium else Routing(collegium)
    names = {name for name in [*vars(protocol), *protocol.__annotations__] if not name.startswith("_")}
    assert len(names) >= 4
    assert not [name for name in names if not hasattr(type(instance), name) and name not in vars(instance)]
