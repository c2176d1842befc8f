"""Files that were read ahead are read from memory: within the limit, the right bytes, and no stale ones."""

from __future__ import annotations

import gc
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from merging.checkpoint import Checkpoint
from orchestrator.inference.engines.host_cache import HostCache
from orchestrator.inference.engines.sources import Sources
from orchestrator.inference.expert import Expert, Weights

COUNT = 256


def folder(place: Path, value: float) -> Path:
    place.mkdir(exist_ok=True)
    save_file({"a": np.full(COUNT, value, np.float32)}, place / "model.safetensors")
    (place / "config.json").write_text('{"model_type": "llama", "architectures": ["x"]}')
    return place


def opened(tmp_path: Path, count: int) -> tuple[list[Checkpoint], int]:
    made = [Checkpoint(folder(tmp_path / f"m{number}", number)) for number in range(count)]
    return made, made[0].bytes


def kept(checkpoint: Checkpoint) -> bool:
    return bool(checkpoint._kept)


def test_what_was_read_ahead_is_read_from_memory_with_the_same_bytes(tmp_path: Path) -> None:
    (one,), size = opened(tmp_path, 1)
    cache = HostCache(size)
    before = one.array("a").copy()
    cache.fill([one])
    assert kept(one)
    assert cache.bytes == size
    assert not np.shares_memory(one.array("a"), next(iter(one.mapped.values())))
    np.testing.assert_array_equal(one.array("a"), before)


def test_the_limit_holds_and_those_used_longest_ago_go_first(tmp_path: Path) -> None:
    made, size = opened(tmp_path, 4)
    cache = HostCache(2 * size)
    for one in made[:3]:
        cache.fill([one])
        assert cache.bytes <= 2 * size
    assert [kept(one) for one in made] == [False, True, True, False]
    cache.fill([made[1]])  # used again
    cache.fill([made[3]])
    assert [kept(one) for one in made] == [False, True, False, True]
    assert [float(one.array("a")[0]) for one in made] == [0, 1, 2, 3]
    cache.limit = size
    assert [kept(one) for one in made] == [False, False, False, True]
    cache.limit = 0
    assert not any(kept(one) for one in made)
    assert cache.bytes == 0


def test_what_does_not_fit_stays_mapped_and_takes_nothing_from_what_comes_with_it(tmp_path: Path) -> None:
    made, size = opened(tmp_path, 3)
    cache = HostCache(2 * size)
    cache.fill(made)
    assert [kept(one) for one in made] == [True, True, False]
    small = HostCache(size - 1)
    small.fill([made[2]])
    assert not kept(made[2])
    assert small.bytes == 0


def test_memory_goes_with_a_checkpoint_that_nobody_has_open(tmp_path: Path) -> None:
    made, size = opened(tmp_path, 2)
    cache = HostCache(size)
    cache.fill([made[0]])
    del made[0]
    gc.collect()
    cache.fill(made)
    assert kept(made[0])
    assert cache.bytes == size


@pytest.mark.parametrize("how", ["replaced", "rewritten"])
def test_a_file_that_changes_is_never_answered_with_what_was_kept(tmp_path: Path, how: str) -> None:
    place = folder(tmp_path / "m", 1)
    sources, expert = Sources(host_gib=1.0), Expert("e", "e", "s", weights=Weights(place))
    sources.read_ahead(expert).join()
    before = sources.blend(expert)
    assert kept(before.checkpoint)
    assert before.tensor("a")[0] == 1
    if how == "replaced":
        shutil.move(folder(tmp_path / "new", 2) / "model.safetensors", place / "model.safetensors")
    else:
        (place / "model.safetensors").unlink()
        folder(place, 2)
    after = sources.blend(expert)
    assert after.tensor("a")[0] == 2
    sources.read_ahead(expert).join()
    assert kept(sources.blend(expert).checkpoint)
    assert sources.blend(expert).tensor("a")[0] == 2


def test_a_file_replaced_between_opening_and_read_ahead_is_kept_as_it_was_opened(tmp_path: Path) -> None:
    """The header that says where tensors lie is that of the opened file."""
    (one,), size = opened(tmp_path, 1)
    file = one.files[0]
    new = folder(tmp_path / "new", 9) / "model.safetensors"
    file.unlink()
    shutil.move(new, file)
    HostCache(size).fill([one])
    assert kept(one)
    assert one.array("a")[0] == 0


def test_without_a_limit_nothing_is_kept_and_no_checkpoint_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = folder(tmp_path / "m", 1)
    sources, expert = Sources(), Expert("e", "e", "s", weights=Weights(place))

    def never(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(Sources, "blend", never)
    sources.read_ahead(expert).join()
    assert sources.host.bytes == 0
