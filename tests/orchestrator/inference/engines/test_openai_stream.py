"""One connection serves a remote expert's requests one after the other, whenever its server ends a response."""

from __future__ import annotations

import asyncio
import json

import pytest

from orchestrator.inference.engines.openai_stream import OpenAIStream, RemoteOptions
from orchestrator.inference.expert import RemoteModel
from orchestrator.inference.request import Delta, Request, Sampling, request_key

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(text: str) -> bytes:
    return f"{len(text):x}\r\n{text}\r\n".encode()


REPLY = chunk(f"data: {json.dumps({'choices': [{'delta': {'content': 'yes'}, 'finish_reason': 'stop'}]})}\n\n")
DONE = chunk("data: [DONE]\n\n")


class Server:
    """Answers on raw sockets, so that every connection is seen. `pause`: seconds between [DONE] and the response's
    end; None: the response never ends."""

    def __init__(self, pause: float | None) -> None:
        self.pause = pause
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                await reader.readexactly(int(length.partition(b":")[2]))
                writer.write(HEAD + REPLY + DONE)
                await writer.drain()
                if self.pause is None:
                    await reader.read()
                    return
                await asyncio.sleep(self.pause)
                writer.write(chunk(": bye\n\n") + b"0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def ask(stream: OpenAIStream, number: int) -> list[Delta]:
    messages, sampling = (("user", f"{number}?"),), Sampling(max_tokens=8)
    key = request_key("far", messages, sampling)
    return [delta async for delta in stream.deltas(Request(key, "far", messages, sampling, stream=True))]


@pytest.mark.parametrize(("pause", "connections"), [(0.0, 1), (0.01, 1), (None, 4)])
async def test_a_connection_is_used_again(pause: float | None, connections: int) -> None:
    server = Server(pause)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    stream = OpenAIStream(RemoteModel(f"http://127.0.0.1:{port}/v1", "far"), 4096, RemoteOptions())
    try:
        for number in range(4):
            deltas = await ask(stream, number)
            assert "".join(delta.text for delta in deltas) == "yes"
            assert deltas[-1].finish_reason == "stop"
    finally:
        await stream.close()
        listener.close()
    assert server.connections == connections
