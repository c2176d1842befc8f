"""Finding code by its name: `module:attribute`, of Collegium's own or of yours."""

from __future__ import annotations

import importlib
from typing import Any

from orchestrator.errors import BadInput


def load(path: str, what: str) -> Any:
    """The attribute at `module:attribute`; `what` says in an error where the path was written.

    Raises:
        BadInput: not of that form, the module cannot be imported, or it has no such attribute.
    """
    module, colon, name = path.partition(":")
    if not (module and colon and name):
        raise BadInput(f"{what}: {path[:200]!r} is not of the form module:attribute")
    try:
        found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadInput(f"{what}: {path[:200]!r}: {error}") from error
    return found
