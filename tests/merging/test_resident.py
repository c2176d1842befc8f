"""Pages of mapped files: brought in, or said to be missing."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_llamas import random_tensors, write_model

from merging import checkpoint, processor
from merging.checkpoint import Checkpoint, CheckpointError
from merging.plan import Merge
from merging.recipe_file import parse
from merging.resident import read_in_order, resident

PAGES = 4


def test_what_is_there_is_brought_in_and_what_a_file_has_lost_is_an_answer(tmp_path: Path) -> None:
    file = tmp_path / "bytes"
    file.write_bytes(os.urandom(PAGES * mmap.PAGESIZE))
    mapped = np.memmap(file, dtype=np.uint8, mode="c")
    read_in_order(mapped)
    if not resident(mapped, 0, 1):
        pytest.skip("this system brings no pages in")
    assert resident(mapped, 5, mapped.size - 3)
    os.truncate(file, mmap.PAGESIZE)
    assert resident(mapped, 0, mmap.PAGESIZE)
    # Touching these would end the process.
    assert not resident(mapped, 0, mapped.size)
    assert not resident(mapped, 2 * mmap.PAGESIZE, mapped.size)


@pytest.mark.parametrize("method", ["slerp", "linear"])
def test_two_models_read_in_place_merge_as_when_they_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    models = [write_model(tmp_path / f"m{n}", random_tensors(n)) for n in range(2)]
    raw = {"merge_method": method, "models": [{"model": str(m), "parameters": {"weight": 0.3}} for m in models]}
    if method == "slerp":
        raw = {**raw, "base_model": str(models[0]), "parameters": {"t": 0.3}, "models": [{"model": str(models[1])}]}
    asked: list[bool] = []
    real = checkpoint.resident
    monkeypatch.setattr(checkpoint, "resident", lambda *span: asked.append(real(*span)) or asked[-1])
    # Spans and blocks smaller than the tensors, and tensors that are no multiple of them.
    monkeypatch.setattr(processor, "BLOCK", 96)
    monkeypatch.setattr(processor, "SPAN", 192)
    in_place = dict(Merge(parse(raw)))
    assert len(asked) > 2 * len(in_place)
    monkeypatch.setattr(checkpoint, "resident", lambda *span: False)
    copied = dict(Merge(parse(raw)))
    assert set(in_place) == set(copied)
    for name, bits in in_place.items():
        np.testing.assert_array_equal(bits, copied[name], err_msg=name)


def test_a_file_that_became_shorter_ends_a_merge_and_not_the_process(tmp_path: Path) -> None:
    tensors = {"model.embed_tokens.weight": np.ones((64, 4096))}
    models = [write_model(tmp_path / f"m{n}", tensors) for n in range(2)]
    raw = {"merge_method": "slerp", "base_model": str(models[0]), "models": [{"model": str(models[1])}]}
    plan = Merge(parse({**raw, "parameters": {"t": 0.3}}))
    os.truncate(models[1] / "model.safetensors", mmap.PAGESIZE)
    with pytest.raises(CheckpointError, match="the file has changed while it was read"):
        plan.array("model.embed_tokens.weight")


def test_what_is_kept_in_memory_is_read_there(tmp_path: Path) -> None:
    own = Checkpoint(write_model(tmp_path / "m", random_tensors(0)))
    name, info = next(iter(own.tensors.items()))
    content = np.fromfile(info.file, np.uint8)
    own.keep(info.file, content)
    found = own.in_place(name, 1, 5)
    assert found is not None
    assert np.shares_memory(found, content)
    np.testing.assert_array_equal(found, own.array(name).reshape(-1)[1:5])
    assert own.in_place(name, 0, own.array(name).size + 1) is None


def held_bytes(file: Path) -> int:
    """Of a mapped file, what counts as this process's memory (Linux's smaps)."""
    found, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ")[0] and not line.split(" ")[0].endswith(":"):
            ours = line.endswith(str(file))
        elif ours and line.startswith("Rss:"):
            found += 1024 * int(line.split()[1])
    return found


def test_what_is_done_with_counts_as_memory_no_longer_and_is_there_again_when_asked_for(tmp_path: Path) -> None:
    own = Checkpoint(write_model(tmp_path / "m", {"model.embed_tokens.weight": np.ones((64, 4096))}))
    name, info = next(iter(own.tensors.items()))
    if own.in_place(name, 0, 64 * 4096) is None:
        pytest.skip("this system brings no pages in")
    before = held_bytes(info.file)
    own.let_go(name, 0, 64 * 4096)
    assert before >= info.stop - info.start > 4 * held_bytes(info.file)
    again = own.in_place(name, 0, 64 * 4096)
    assert again is not None
    np.testing.assert_array_equal(again, own.array(name).reshape(-1))
    kept = np.fromfile(info.file, np.uint8)
    own.keep(info.file, kept)
    own.let_go(name, 0, 64 * 4096)  # what is kept in memory alone stays there
    np.testing.assert_array_equal(kept, np.fromfile(info.file, np.uint8))


@pytest.mark.parametrize("kept", [1 << 25, 0])
def test_a_merge_of_two_lets_go_of_what_it_has_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    tensors = {"model.embed_tokens.weight": np.ones((2048, 4096))}
    models = [write_model(tmp_path / f"m{n}", tensors) for n in range(2)]
    raw = {"merge_method": "slerp", "base_model": str(models[0]), "models": [{"model": str(models[1])}]}
    monkeypatch.setattr(processor, "BLOCK", 1 << 18)
    monkeypatch.setattr(processor, "SPAN", 1 << 19)
    monkeypatch.setattr(processor, "KEPT", kept)
    most = 0
    real = checkpoint.resident

    def watched(*span: Any) -> bool:
        nonlocal most
        found = real(*span)
        most = max(most, held_bytes(models[0] / "model.safetensors")) if found else 0
        return found

    monkeypatch.setattr(checkpoint, "resident", watched)
    plan = Merge(parse({**raw, "parameters": {"t": 0.3}}))
    plan.array("model.embed_tokens.weight")
    if not most:
        pytest.skip("this system brings no pages in")
    assert held_bytes(models[0] / "model.safetensors") <= 5 << 20  # of 16 MiB; pages come in groups of up to 2 MiB
    if not kept:
        assert most <= 6 << 20
