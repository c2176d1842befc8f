"""Connections whose clients must get on with it: uvicorn itself waits for ever for a request's head."""

from __future__ import annotations

import asyncio

MAX_HEAD = 64 * 1024
"""Bytes of a request line and headers."""


def bounded_protocol(head_seconds: float, max_body: int, send_seconds: float = 60.0) -> type[asyncio.Protocol]:
    """uvicorn's HTTP protocol, for `uvicorn.Config(http=...)`, that cuts a connection whose client does not send a
    whole head (request line and headers) within `head_seconds` of connecting or of its first byte, or sends more than
    a head and a body of `max_body` bytes can have. The time of a body is the middleware's to bound, idle connections
    between requests are uvicorn's (`timeout_keep_alive`).

    A client that does not read is cut too: the transport holds at most 64 KiB for it, the response waits, and after
    `send_seconds` in which it read nothing more of these the connection is aborted, so that it holds no place."""
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    class BoundedProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # chosen when uvicorn is imported
        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self._bytes = 0
            self._deadline: asyncio.TimerHandle | None = self.loop.call_later(head_seconds, self._cut)
            self._unread: asyncio.TimerHandle | None = None

        def connection_lost(self, exc: Exception | None) -> None:
            self._calm()
            self._reading()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            before = self.cycle
            super().data_received(data)
            self._bytes = len(data) + (self._bytes if self.cycle is before else 0)
            in_request = self.cycle is not None and not self.cycle.response_complete
            if self._bytes > MAX_HEAD + (2 * max_body if in_request else 0):
                self._cut()
            elif in_request:
                self._calm()
            elif self._deadline is None:
                self._deadline = self.loop.call_later(head_seconds, self._cut)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._reading()
            self._unread = self.loop.call_later(send_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            self._reading()
            super().resume_writing()

        def _reading(self) -> None:
            if self._unread is not None:
                self._unread.cancel()
                self._unread = None

        def _calm(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _cut(self) -> None:
            self._calm()
            if not self.transport.is_closing():
                self.transport.close()

    return BoundedProtocol
