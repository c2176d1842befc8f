"""For whom this task works: the id of an API key, so that what it asks is paid for and served as that caller's."""

from __future__ import annotations

from contextvars import ContextVar

NOBODY = ""
caller: ContextVar[str] = ContextVar("caller", default=NOBODY)
