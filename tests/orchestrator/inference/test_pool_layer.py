"""What a layer does not change reaches the pool behind it."""

from __future__ import annotations

import inspect
from typing import Any

from orchestrator.inference.pool import Pool
from orchestrator.inference.pool_layer import PoolLayer


class Recorder:
    """Notes every call, and answers with its name."""

    timeline = "timeline"

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            self.calls.append((name, arguments))
            return name

        return call

    async def load(self) -> str:
        self.calls.append(("load", ()))
        return "load"


async def test_each_call_is_handed_on_with_its_arguments() -> None:
    behind = Recorder()
    layer = PoolLayer(behind)  # type: ignore[arg-type]
    layer.start()
    layer.refuse_own_thread()
    layer.note_conversations(["a"], ["b"])
    found: list[Any] = [
        layer.timeline,
        await layer.load(),
        layer.ask_blocking([]),
        layer.stream_blocking("request", "expert"),  # type: ignore[arg-type]
        layer.conversation("q", 7),
    ]
    assert found == ["timeline", "load", "ask_blocking", "stream_blocking", "conversation"]
    assert behind.calls == [
        ("start", ()),
        ("refuse_own_thread", ()),
        ("note_conversations", (["a"], ["b"])),
        ("load", ()),
        ("ask_blocking", ([],)),
        ("stream_blocking", ("request", "expert")),
        ("conversation", ("q", 7)),
    ]
    layer.close()  # the pool behind it belongs to others
    assert behind.calls[-1][0] == "conversation"


def test_a_layer_lacks_only_what_it_is_made_for() -> None:
    public = {name for name, _ in inspect.getmembers(Pool) if not name.startswith("_")}
    assert public - {name for name in dir(PoolLayer) if not name.startswith("_")} == {"request", "ask", "stream"}
