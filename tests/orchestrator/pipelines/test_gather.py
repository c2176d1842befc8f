"""Statistics for merging, gathered by a program."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
import tiny_llama

from orchestrator import Collegium
from orchestrator.errors import BadInput
from orchestrator.pipelines.gather import GatheredStatistics


def test_a_program_gathers_as_the_command_does(echo_zoo: Collegium, tmp_path: Path) -> None:
    model, texts, out = tiny_llama.write(tmp_path / "tiny"), tmp_path / "texts", tmp_path / "out.safetensors"
    texts.write_text("one two\n\nthree four five\n")
    notes: list[str] = []
    found = echo_zoo.gather(model=str(model), texts=str(texts), out=str(out), note=notes.append)
    assert found == GatheredStatistics(out, "gram", 2, found.tokens)
    assert out.stat().st_size > 1000
    assert notes[-1] == f"gathering, {found.tokens:,} tokens"


def test_the_step_is_known_while_it_runs_and_not_after(echo_zoo: Collegium, tmp_path: Path) -> None:
    model, texts = tiny_llama.write(tmp_path / "tiny"), tmp_path / "texts"
    texts.write_text("one two\n")
    steps: list[str] = []
    asked = {"model": str(model), "texts": str(texts), "out": str(tmp_path / "out.safetensors")}
    asyncio.run(echo_zoo.aexecute("gather", **asked, note=lambda _: steps.append(echo_zoo.step)))
    assert steps[-1].startswith("gathering, ")
    assert echo_zoo.step == ""


def test_a_cancelled_run_does_not_go_on_in_its_thread(echo_zoo: Collegium, tmp_path: Path) -> None:
    model, texts, out = tiny_llama.write(tmp_path / "tiny"), tmp_path / "texts", tmp_path / "out.safetensors"
    texts.write_text("one two three\n" * 50)
    notes: list[str] = []

    async def cancelled() -> None:
        loop = asyncio.get_running_loop()
        stopped = threading.Event()

        def note(line: str) -> None:
            notes.append(line)
            loop.call_soon_threadsafe(running.cancel)
            loop.call_soon_threadsafe(loop.call_soon, loop.call_soon, stopped.set)
            stopped.wait(60)

        asked = {"model": str(model), "texts": str(texts), "out": str(out)}
        running = asyncio.create_task(echo_zoo.aexecute("gather", **asked, note=note))
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cancelled())  # waits for its threads
    assert len(notes) == 1
    assert not out.exists()


def test_a_folder_or_file_that_is_not_there_is_named(echo_zoo: Collegium, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"model: .*nowhere: no such folder"):
        echo_zoo.gather(model=str(tmp_path / "nowhere"), texts="texts", out="out")
    with pytest.raises(BadInput, match=r"texts: .*nothing: cannot be read: No such file"):
        echo_zoo.gather(model=str(tmp_path), texts=str(tmp_path / "nothing"), out="out")
