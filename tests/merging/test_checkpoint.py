"""Checkpoints and adapters from strangers: what is read, and what is refused by name."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from merging.checkpoint import Checkpoint, CheckpointError, read_header
from tests.scripts.small_safetensors import SHAPES, arrays, blob, checkpoint


def with_header(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def test_tensors_are_listed_and_mapped_as_stored(tmp_path: Path) -> None:
    found = Checkpoint(checkpoint(tmp_path / "m", tie_word_embeddings=True))
    assert {name: info.shape for name, info in found.tensors.items()} == SHAPES
    for name, array in arrays().items():
        np.testing.assert_array_equal(found.array(name), array)
    assert found.tied
    assert found.bytes == (tmp_path / "m/model.safetensors").stat().st_size


def test_bfloat16_comes_as_its_bits(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "m")
    bits = np.array([0x3F80, 0xC000], "<u2")
    (folder / "model.safetensors").write_bytes(blob({"x": bits}, {"x": "BF16"}))
    np.testing.assert_array_equal(Checkpoint(folder).array("x"), bits)


def test_reading_ends_where_the_tensor_ends(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "m")
    (folder / "model.safetensors").write_bytes(blob({"x": np.arange(4, dtype="<f4"), "y": np.ones(4, "<f4")}))
    found, out = Checkpoint(folder), np.empty(2, np.float32)
    found.read_into("x", 2, out)
    assert out.tolist() == [2, 3]
    with pytest.raises(IndexError, match="tensor 'x': 2 elements from 3 on"):
        found.read_into("x", 3, out)


def test_writing_to_a_view_changes_no_file(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "m")
    before = (folder / "model.safetensors").read_bytes()
    Checkpoint(folder).array("embed.weight")[:] = 0
    assert (folder / "model.safetensors").read_bytes() == before


def test_a_real_writer_and_this_reader_agree(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    folder = checkpoint(tmp_path / "m")
    save_file(arrays(7), folder / "model.safetensors", metadata={"format": "pt"})
    found = Checkpoint(folder)
    for name, array in arrays(7).items():
        np.testing.assert_array_equal(found.array(name), array)


def test_shards_are_read_through_their_index(tmp_path: Path) -> None:
    folder = sharded(tmp_path)
    found = Checkpoint(folder)
    assert set(found.tensors) == {"a", "b"}
    assert found.array("b")[0] == 2
    assert len(found.files) == 2


def sharded(tmp_path: Path, **weight_map: str) -> Path:
    folder = checkpoint(tmp_path / "s")
    (folder / "model.safetensors").unlink()
    (folder / "1.safetensors").write_bytes(blob({"a": np.array([1], "f4")}))
    (folder / "2.safetensors").write_bytes(blob({"b": np.array([2], "f4")}))
    index = {"weight_map": weight_map or {"a": "1.safetensors", "b": "2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize(
    "name",
    ["../1.safetensors", "/etc/passwd", "x/1.safetensors", "..", "", "1.bin", "a\0.safetensors", "..\\1.safetensors"],
)
def test_an_index_names_files_of_its_own_folder_only(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match="not the name of a safetensors file"):
        Checkpoint(sharded(tmp_path, a=name))


def test_what_an_index_promises_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"tensor 'c' is missing from 1\.safetensors"):
        Checkpoint(sharded(tmp_path, a="1.safetensors", b="2.safetensors", c="1.safetensors"))
    with pytest.raises(CheckpointError, match=r"3\.safetensors: cannot be read"):
        Checkpoint(sharded(tmp_path, a="3.safetensors"))


def test_a_folder_that_holds_two_models_is_refused(tmp_path: Path) -> None:
    folder = sharded(tmp_path)
    assert set(Checkpoint(folder).tensors) == {"a", "b"}
    (folder / "model.safetensors").write_bytes(blob({"a": np.array([3], "f4"), "b": np.array([4], "f4")}))
    with pytest.raises(CheckpointError, match="holds two models"):
        Checkpoint(folder)


def entry(**changes: Any) -> dict[str, Any]:
    return {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}


HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "truncated"),
    "header longer than the file": ((2**40).to_bytes(8, "little") + b"{}", "truncated"),
    "header of 2^63 bytes": (b"\xff" * 8 + b"{}", "truncated"),
    "not JSON": (with_header(b"{nope"), "not valid JSON"),
    "not UTF-8": (with_header(b"\xff\xfe{}"), "not valid JSON"),
    "nested past the stack": (with_header(b"[" * 200_000), "not valid JSON|not a JSON object"),
    "a list": (with_header([1]), "not a JSON object"),
    "a name twice": (with_header(b'{"x": {}, "x": {}}'), "occurs twice"),
    "past the end": (with_header(entry(), b"1234"), "truncated: tensor 'x'"),
    "trailing bytes": (with_header(entry(), b"12345678tail"), "4 bytes after"),
    "negative offset": (with_header(entry(data_offsets=[-8, 0]), b""), "bad data_offsets"),
    "backwards": (with_header(entry(data_offsets=[8, 0]), b"12345678"), "bad data_offsets"),
    "offsets are not numbers": (with_header(entry(data_offsets=["0", "8"]), b"12345678"), "bad data_offsets"),
    "true is not 1": (with_header(entry(shape=[True, 2]), b"12345678"), "bad shape"),
    "negative shape": (with_header(entry(shape=[-1, -2]), b"12345678"), "bad shape"),
    "shape overflows 64 bits": (with_header(entry(shape=[2**61, 2**61]), b"12345678"), "takes .* bytes"),
    "shape and bytes disagree": (with_header(entry(shape=[3]), b"12345678"), "takes 12 bytes"),
    "unknown type": (with_header(entry(dtype="C64"), b"12345678"), "unknown type"),
    "unhashable type": (with_header(entry(dtype=["F32"]), b"12345678"), "unknown type"),
    "a key too few": (with_header({"x": {"dtype": "F32", "shape": [2]}}, b"12345678"), "wants dtype"),
    "overlap": (with_header({**entry(), "y": {**entry()["x"], "data_offsets": [4, 12]}}, b"123456789012"), "overlaps"),
    "hole": (with_header({**entry(), "y": {**entry()["x"], "data_offsets": [12, 20]}}, b"0" * 20), "hole"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_header_is_refused_with_the_file_named(tmp_path: Path, case: str) -> None:
    raw, message = HOSTILE[case]
    file = tmp_path / "evil.safetensors"
    file.write_bytes(raw)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_header(file)
    assert "evil.safetensors" in str(caught.value)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(position=st.integers(0, 400), byte=st.integers(0, 255), cut=st.integers(0, 400))
def test_a_damaged_file_is_either_refused_or_read_within_its_bounds(
    tmp_path: Path, position: int, byte: int, cut: int
) -> None:
    raw = bytearray(blob(arrays()))
    raw[position % len(raw)] = byte
    raw = raw[: len(raw) - cut % len(raw)]
    file = tmp_path / "damaged.safetensors"
    file.write_bytes(raw)
    try:
        tensors = read_header(file)
    except CheckpointError:
        return
    assert all(0 <= info.start <= info.stop <= len(raw) for info in tensors.values())
    assert all(math.prod(info.shape) >= 0 for info in tensors.values())


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        Checkpoint(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match=r"config\.json: cannot be read"):
        Checkpoint(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(CheckpointError, match="pickles are not read"):
        Checkpoint(tmp_path)
