"""Routers of other packages: an entry point of the group `collegium.routers`, or `module:attribute`."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from typing import Any

GROUP = "collegium.routers"


def found(name: str) -> Any:
    """The attribute at `module:attribute`, else the entry point of this name; None where there is none.

    Raises:
        ValueError: the module or the attribute cannot be imported.
    """
    module, colon, attribute = name.partition(":")
    try:
        if colon:
            return getattr(importlib.import_module(module), attribute)
        points = tuple(entry_points(group=GROUP, name=name))
        return points[0].load() if points else None
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{name[:200]!r}: {error}") from error
