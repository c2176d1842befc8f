"""Finding code by its name: entry points of installed packages, or `module:attribute`.

A name with a colon is code: the command line, a program and the configuration may use it, a service's clients never.
"""

from __future__ import annotations

import importlib
import re
from importlib.metadata import entry_points
from typing import Any, Literal

from orchestrator.errors import BadInput

Group = Literal[
    "collegium.engines",
    "collegium.tasks",
    "collegium.discussions",
    "collegium.scorers",
    "collegium.metrics",
    "collegium.aggregators",
]
_CODE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


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


def extension(group: Group, name: str, what: str) -> Any:
    """The attribute at `module:attribute`, else the group's entry point of this name; None where there is none.

    Raises:
        BadInput: it cannot be imported.
    """
    if is_code(name):
        return load(name, what)
    points = tuple(entry_points(group=group, name=name))
    return load(points[0].value, what) if points else None


def is_code(name: str) -> bool:
    """Whether a name is of the form `module:attribute`."""
    return _CODE.fullmatch(name) is not None
