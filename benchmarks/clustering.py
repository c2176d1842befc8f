"""Cosines of all pairs of 12 models against reading their files once.

    python -m benchmarks.clustering

Models are generated: a Llama's shapes, bf16, three bases with three fine-tunes each. `reading` reads the same files,
whole, with as many threads; warm: from the page cache; cold: after the kernel was told to forget the files.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.machine import conditions, write_result
from merging.checkpoint import Checkpoint
from merging.cluster import cluster
from merging.similarity import similarity

FAMILIES, EACH = 3, 4
DRAWN = np.random.default_rng(0).standard_normal(1_000_003, np.float32)
"""Numbers that all tensors are cut from, each from another place: drawing every one anew would take minutes."""


def shapes(layers: int, hidden: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """Attention and MLP of a Llama, and a small embedding."""
    wide = hidden * 8 // 3
    yield "model.embed_tokens.weight", (4096, hidden)
    for layer in range(layers):
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            yield f"model.layers.{layer}.self_attn.{name}.weight", (hidden, hidden)
        yield f"model.layers.{layer}.mlp.gate_proj.weight", (wide, hidden)
        yield f"model.layers.{layer}.mlp.up_proj.weight", (wide, hidden)
        yield f"model.layers.{layer}.mlp.down_proj.weight", (hidden, wide)


def write(folder: Path, family: int, number: int, layers: int, hidden: int) -> None:
    """A model of a family: the family's base, plus a tenth of noise of its own."""
    folder.mkdir()
    header, position, named = {}, 0, list(shapes(layers, hidden))
    for name, shape in named:
        size = 2 * shape[0] * shape[1]
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [position, position + size]}
        position += size
    raw = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        for place, (_, shape) in enumerate(named):
            size = shape[0] * shape[1]
            base, own = (np.resize(np.roll(DRAWN, shift), size) for shift in (7919 * place + family, 104729 * number))
            tensor = (base + np.float32(0.1) * np.roll(own, 31 * place + 7 * family + 1)).reshape(shape)
            file.write((tensor.view(np.uint32) >> 16).astype(np.uint16).tobytes())
    (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))


def read(files: list[Path], threads: int) -> None:
    """Read the files whole, into a buffer that is used again."""

    def one(file: Path) -> None:
        buffer = bytearray(1 << 22)
        with file.open("rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, files))


def forget(files: list[Path]) -> None:
    for file in files:
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    noted = conditions()
    threads = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        names = [f"{family}-{number}" for family in range(FAMILIES) for number in range(EACH)]
        for name in names:
            family, number = map(int, name.split("-"))
            write(Path(folder) / name, family, number, given.layers, given.hidden)
        files = [Path(folder) / name / "model.safetensors" for name in names]
        gigabytes = sum(file.stat().st_size for file in files) / 1e9

        def compare() -> object:
            return similarity([(Checkpoint(Path(folder) / name), None) for name in names])

        compare()
        warm = [(timed(lambda: read(files, threads)), timed(compare)) for _ in range(given.repeats)]
        cold = []
        for _ in range(given.repeats):
            forget(files)
            reading = timed(lambda: read(files, threads))
            forget(files)
            cold.append((reading, timed(compare)))
        found = similarity([(Checkpoint(Path(folder) / name), None) for name in names]).values
    groups = cluster(names, found).groups
    assert [len(group) for group in groups] == [EACH] * FAMILIES, groups

    def row(what: str, pairs: list[tuple[float, float]], wanted: str) -> tuple[str, str, str]:
        reading, comparing = (statistics.median(times) for times in zip(*pairs, strict=True))
        ratio = statistics.median(comparing / reading for reading, comparing in pairs)
        return what, f"{comparing:.2f} s, reading {reading:.2f} s: {ratio:.2f}x", wanted

    inside, between = found[0, 1], found[0, EACH]
    rows = [
        row("12 models, warm (medians)", warm, "at most 3x"),
        row("12 models, cold (medians)", cold, "at most 1.3x"),
        ("read", f"{gigabytes:.2f} GB, {gigabytes / 24 * 1e3:.0f} M parameters a model", ""),
        ("cosine inside a family, and between", f"{inside:.4f}, {between:.4f}", "0.95 lies between"),
        ("clusters at 0.95", "; ".join(", ".join(group) for group in groups), "the three families"),
    ]
    write_result(
        "clustering",
        "Clustering: cosines of all pairs of 12 models in one pass",
        rows,
        {"conditions": noted, "warm": warm, "cold": cold},
        "`cold` asks the kernel to drop the files from its cache (posix_fadvise); the host below may still hold them.",
    )


if __name__ == "__main__":
    main()
