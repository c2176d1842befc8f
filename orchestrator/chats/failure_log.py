"""The operator's log of failures: one line each, with the request's id, the expert and the class of the error. What a
client must not read (addresses, what an upstream said) stands here and nowhere else."""

from __future__ import annotations

import logging
from contextvars import ContextVar

from orchestrator.errors import Cancelled, CollegiumError, RequestError

request_id: ContextVar[str] = ContextVar("request_id", default="-")
"""Of the HTTP request that is being answered."""
_log = logging.getLogger("collegium")


def log_failure(
    error: BaseException, expert: str | None = None, *, replaced: bool = False, streamed: bool = False
) -> None:
    """`expert`: whose failure it is. `replaced`: another expert answers instead. `streamed`: the response had begun,
    and the failure is an event of it."""
    if not isinstance(error, CollegiumError):
        _log.error("request %s: internal error", request_id.get(), exc_info=error)
        return
    if isinstance(error, Cancelled):
        return
    of_client = error.status < 500 and error.words is None and error.expert is None and expert is None
    if of_client and not streamed:
        return  # the request's own line has the whole sentence
    level = logging.INFO if of_client or isinstance(error, RequestError) else logging.ERROR
    level = logging.WARNING if replaced and level == logging.ERROR else level
    who = f"expert {expert}: " if expert else ""
    upstream = f" (upstream status {error.upstream_status})" if error.upstream_status else ""
    answered = "; sent in the stream" if streamed else f"; answered {error.status}"
    next_one = "; another expert is asked" if replaced else answered
    text = " ".join(str(error).split()).removeprefix(f"expert {expert!r}: ")
    _log.log(level, "request %s: %s%s%s: %s%s", request_id.get(), who, type(error).__name__, upstream, text, next_one)
