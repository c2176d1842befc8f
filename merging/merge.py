"""Carry out a recipe: read, merge and write, a block at a time, on all cores. No model is ever held whole."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from merging.card import model_card
from merging.gguf import GgufCheckpoint
from merging.layers import count_key, layer_count
from merging.plan import HEAD, Merge
from merging.recipe import Recipe
from merging.settings import RecipeError
from merging.tokenizer import copy_files, disagreement
from merging.writer import SHARD_BYTES, Writer

TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
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
    device: str | None = None,
    progress: ProgressCallback | None = None,
) -> MergeSummary:
    """Write the recipe's result to the folder `out`: weights, config, tokenizer, templates, model card.

    `device`: torch's name of one, for methods that can; None: the compiled kernels, on `threads` cores.
    Raises `RecipeError`, `CheckpointError`, `WriteError` (all ValueErrors); then nothing is left at `out`.
    """
    began = time.perf_counter()
    plan = Merge(recipe, allow_nan=allow_nan, device=device)
    notes = [*plan.notes, *_tokenizers_differ(plan)]
    config = out_config(plan)
    listing = {name: (target.dtype, target.shape) for name, target in plan.targets.items()}
    with Writer(out, listing, shard_bytes) as writer:
        _fill(plan, writer, 1 if recipe.rule.whole else threads or len(os.sched_getaffinity(0)), progress)
        (writer.folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
        _tokenizer_files(plan, writer.folder)
        notes += _template(plan, writer.folder)
        (writer.folder / "README.md").write_text(model_card(plan, out.name, notes), "utf-8")
        written = sum(file.stat().st_size for file in writer.folder.iterdir())
        writer.finish()
    sizes = [target.size for target in plan.targets.values()]
    return MergeSummary(out, len(sizes), sum(sizes), plan.bytes, written, time.perf_counter() - began, tuple(notes))


def out_config(plan: Merge) -> dict[str, Any]:
    """The first model's config.json, with the result's number of layers, vocabulary, ties and type."""
    config = dict(plan.template.config)
    kinds = {target.dtype for target in plan.targets.values() if target.copied is None}
    if plan.recipe.dtype or len(kinds) == 1:
        config["dtype" if "dtype" in config else "torch_dtype"] = TYPES[plan.recipe.dtype or kinds.pop()]
    config.pop("quantization_config", None)
    if (HEAD in plan.targets) != plan.template.own_head:
        config["tie_word_embeddings"] = False
    if plan.vocabulary is not None:
        config["vocab_size"] = plan.vocabulary.size
        config |= _special_tokens(plan)
    sliced = any(source.layers for part in plan.recipe.slices for source in part.sources)
    key = count_key(plan.template)
    if sliced and key:
        before = layer_count(plan.template)
        config[key] = len(plan.layers)
        for name, listed in config.items():
            if isinstance(listed, list) and len(listed) == before and name.endswith("layer_types"):
                config[name] = [listed[_origin(plan, number)] for number in range(len(plan.layers))]
    return config


def _special_tokens(plan: Merge) -> dict[str, Any]:
    """Where the tokenizer is another model's, so are the numbers of the tokens that begin and end a text."""
    assert plan.vocabulary is not None
    keys = ("bos_token_id", "eos_token_id", "pad_token_id")
    for checkpoint, _ in plan.models.values():
        if checkpoint.folder == plan.vocabulary.tokenizer.folder:
            return {key: checkpoint.config[key] for key in keys if key in checkpoint.config}
    return {}


def _origin(plan: Merge, number: int) -> int:
    part, index, _ = plan.layers[number]
    first = part.sources[0].layers
    return (first[0] if first else 0) + index


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
    if isinstance(plan.template, GgufCheckpoint):
        notes.append(f"{plan.template.folder}: a GGUF file's tokenizer is not converted: the result has none")
    for ref, (checkpoint, _) in plan.models.items():
        found = disagreement(plan.template.folder, checkpoint.folder)
        if found:
            notes.append(f"tokenizer of {ref}: {found}; `tokenizer_source: union` (or base) aligns the vocabularies")
    return notes


def _tokenizer_files(plan: Merge, folder: Path) -> None:
    if plan.vocabulary is not None:
        plan.vocabulary.tokenizer.save(folder)
    else:
        copy_files(plan.template.folder, folder)


def _template(plan: Merge, folder: Path) -> list[str]:
    """The recipe's chat template: its text, or `auto`: the one that most sources have."""
    wanted = plan.recipe.chat_template
    if wanted is None:
        return []
    if wanted == "auto":
        held = [text for checkpoint, _ in plan.models.values() if (text := template_of(checkpoint.folder))]
        if not held:
            return ["chat_template: auto: none of the models has one"]
        wanted = max(held, key=held.count)
    elif "{" not in wanted:
        raise RecipeError(f"chat_template: {wanted[:40]!r}: wants a Jinja template, or auto (names are not known here)")
    (folder / "chat_template.jinja").write_text(wanted, "utf-8")
    config = folder / "tokenizer_config.json"
    if config.exists():
        data = json.loads(config.read_text("utf-8"))
        if data.pop("chat_template", None) is not None:
            config.write_text(json.dumps(data, indent=2, ensure_ascii=False), "utf-8")
    return []


def template_of(folder: Path) -> str | None:
    """A model's chat template, from its own file or its tokenizer's configuration."""
    file, config = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    if file.is_file():
        return file.read_text("utf-8")
    if config.is_file():
        found = json.loads(config.read_text("utf-8")).get("chat_template")
        return found if isinstance(found, str) else None
    return None
