"""Carry out a recipe: read, merge and write, a block at a time, on all cores. No model is ever held whole."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from merging.card import model_card
from merging.gguf import GgufCheckpoint
from merging.nested import planned
from merging.plan import Merge
from merging.recipe import Recipe
from merging.result_config import result_config
from merging.side_files import carry
from merging.templates import write_template
from merging.tokenizer import disagreement
from merging.writer import SHARD_BYTES, Writer

ProgressCallback = Callable[[int, int], None]
"""Called with (elements done, elements in all), from any thread."""


@dataclass(frozen=True, slots=True)
class MergeSummary:
    """What was written, from how much, in what time."""

    out: Path
    tensors: int
    parameters: int
    bytes_read: int
    bytes_written: int
    seconds: float
    notes: tuple[str, ...]


def merge(
    recipe: Recipe,
    out: Path,
    *,
    threads: int | None = None,
    shard_bytes: int = SHARD_BYTES,
    allow_nan: bool = False,
    allow_bin: bool = False,
    device: str | None = None,
    progress: ProgressCallback | None = None,
) -> MergeSummary:
    """Write the recipe's result to the folder `out`: weights, config, tokenizer, templates, model card.

    `device`: torch's name of one, for methods that can; None: the compiled kernels, on `threads` cores.
    Raises `RecipeError`, `CheckpointError`, `WriteError` (all ValueErrors); then nothing is left at `out`.
    """
    began = time.perf_counter()
    plan = planned(recipe, allow_nan=allow_nan, allow_bin=allow_bin, device=device)
    config = result_config(plan)
    notes = [*plan.notes, *_tokenizers_differ(plan)]
    listing = {name: (target.dtype, target.shape) for name, target in plan.targets.items()}
    with Writer(out, listing, shard_bytes) as writer:
        _fill(plan, writer, 1 if recipe.rule.whole else threads or len(os.sched_getaffinity(0)), progress)
        (writer.folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
        notes += _files(plan, writer.folder)
        notes += write_template(plan, writer.folder)
        (writer.folder / "README.md").write_text(model_card(plan, out.name, notes), "utf-8")
        written = sum(file.stat().st_size for file in writer.folder.rglob("*") if file.is_file())
        writer.finish()
    sizes = [target.size for target in plan.targets.values()]
    return MergeSummary(out, len(sizes), sum(sizes), plan.bytes, written, time.perf_counter() - began, tuple(notes))


def _fill(plan: Merge, writer: Writer, threads: int, progress: ProgressCallback | None) -> None:
    """Every piece of every tensor, largest first: a thread a piece, so that no thread waits for another."""
    total = sum(target.size for target in plan.targets.values())
    done = 0

    def work(piece: tuple[str, int, int]) -> None:
        nonlocal done
        name, start, stop = piece
        for first, bits in plan.blocks(name, start, stop):
            writer.write(name, first, bits)
        done += stop - start
        if progress:
            progress(done, total)

    pieces = sorted(_pieces(plan), key=lambda piece: piece[1] - piece[2])
    with ThreadPoolExecutor(threads, "merge") as pool:
        running = [pool.submit(work, piece) for piece in pieces]
        try:
            finished, _ = wait(running, return_when=FIRST_EXCEPTION)
        finally:
            # Interrupted or failed: what has not begun never does.
            pool.shutdown(wait=False, cancel_futures=True)
        for future in finished:
            future.result()


def _pieces(plan: Merge) -> Iterator[tuple[str, int, int]]:
    for name in plan.names:
        for start, stop in plan.pieces(name):
            yield name, start, stop


def _tokenizers_differ(plan: Merge) -> list[str]:
    """Sources whose tokens have other numbers: the merge can be done, and would speak gibberish."""
    if plan.recipe.tokenizer is not None:
        return []
    notes = []
    if isinstance(plan.template.checkpoint, GgufCheckpoint):
        notes.append(f"{plan.template.folder}: a GGUF file's tokenizer is not converted: the result has none")
    for ref, model in plan.models.items():
        found = disagreement(plan.template.folder, model.folder)
        if found:
            notes.append(f"tokenizer of {ref}: {found}; `tokenizer_source: union` (or base) aligns the vocabularies")
    return notes


def _files(plan: Merge, folder: Path) -> list[str]:
    """The tokenizer, and everything else that belongs to the first model."""
    tokenizer = plan.vocabulary.tokenizer if plan.vocabulary is not None else plan.template.tokenizer
    notes = tokenizer.save(folder) if tokenizer is not None else []
    if plan.template.folder.is_dir():
        notes += carry(plan.template.folder, folder, tokenizer=tokenizer is None)
    return notes
