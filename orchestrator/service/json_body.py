"""JSON as clients send it, read strictly: a name that stands twice in one object is refused.

Programs differ in which of the two counts, so that what one of them checked would not be what another one does.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import Request
from starlette.exceptions import HTTPException


class RepeatedName(ValueError):
    """A name that stands twice in one object."""

    def __init__(self, name: str) -> None:
        printable = "".join(letter if letter.isprintable() else "?" for letter in name[:80])
        super().__init__(f"{printable}: stands twice in one object; send it once")
        self.name = printable


class RepeatedNameInBody(HTTPException):
    """The same of a request's body; FastAPI lets it pass to the application."""

    def __init__(self, error: RepeatedName) -> None:
        super().__init__(400, str(error))
        self.param = error.name


def loads(raw: bytes | str) -> Any:
    """The value. Raises `RepeatedName`, `ValueError` for what is not JSON, `RecursionError`."""
    return json.loads(raw, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen = set[str]()
        raise RepeatedName(next(name for name, _ in pairs if name in seen or seen.add(name)))  # type: ignore[func-returns-value]
    return found


class StrictRequest(Request):
    """A request whose JSON is read by `loads`."""

    async def json(self) -> Any:
        """The body. Raises `RepeatedNameInBody`, and what `loads` raises."""
        if not hasattr(self, "_json"):
            try:
                self._json = loads(await self.body())
            except RepeatedName as error:
                raise RepeatedNameInBody(error) from None
        return self._json
